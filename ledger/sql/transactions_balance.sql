-- The entries of a ledger transaction, written by one INSERT, are double entry. Debits equal
-- credits in each currency. Accounts are all memo or all real, and of the entry's currency. Each
-- entry names its transaction's payment and the running database transaction. Entries come with
-- their transaction, never later. A reversal mirrors the original exactly.
-- The planner settings keep the plan of empty tables (a sequential scan) out of the plan cache.

CREATE FUNCTION ledger_check_entries() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    suspect record;
BEGIN
    -- All new entries at once, by transaction and by transaction and currency. A group is returned
    -- only if something is wrong with it, or if it is a reversal.
    -- One INSERT writes all entries of a transaction. So a balanced one cannot be changed later in
    -- the same database transaction either, and need not be checked again at commit.
    SELECT e.transaction_id,
           coalesce(
               min(CASE WHEN t.id IS NULL THEN
                           'ledger_unknown_transaction: an entry without its transaction'
                        WHEN t.xid <> pg_current_xact_id() THEN
                           'ledger_late_entry: entries are written with their transaction'
                        WHEN e.xid <> pg_current_xact_id() THEN
                           'ledger_forged_xid: xid is not the running database transaction'
                        WHEN a.id IS NULL THEN
                           'ledger_unknown_account: an entry on an account that does not exist'
                        WHEN a.currency <> e.currency THEN
                           'ledger_wrong_currency: entry and account differ in currency'
                        WHEN e.payment_id IS DISTINCT FROM t.payment_id THEN
                           'ledger_wrong_payment: entry and transaction differ in payment'
                   END),
               CASE WHEN min(a.kind) <> max(a.kind) THEN
                       'ledger_mixed_kinds: memo and real accounts in one transaction'
                    WHEN grouping(e.currency) = 1 AND count(*) <> (
                           SELECT count(*) FROM ledger_entry x
                            WHERE x.transaction_id = e.transaction_id) THEN
                       'ledger_late_entry: the transaction already has its entries'
                    WHEN grouping(e.currency) = 0
                         AND sum(CASE e.direction WHEN 'D' THEN e.amount_minor
                                                  ELSE -e.amount_minor END) <> 0 THEN
                       'ledger_unbalanced: debits and credits differ'
               END) AS defect
      INTO suspect
      FROM new_entries e
      LEFT JOIN ledger_transaction t ON t.id = e.transaction_id
      LEFT JOIN ledger_account a ON a.id = e.account_id
     GROUP BY GROUPING SETS ((e.transaction_id), (e.transaction_id, e.currency))
    HAVING bool_or(t.reverses_id IS NOT NULL OR t.id IS NULL OR a.id IS NULL
                   OR t.xid <> pg_current_xact_id() OR e.xid <> pg_current_xact_id()
                   OR a.currency <> e.currency OR e.payment_id IS DISTINCT FROM t.payment_id)
        OR min(a.kind) <> max(a.kind)
        OR grouping(e.currency) = 1 AND count(*) <> (
              SELECT count(*) FROM ledger_entry x WHERE x.transaction_id = e.transaction_id)
        OR grouping(e.currency) = 0
           AND sum(CASE e.direction WHEN 'D' THEN e.amount_minor ELSE -e.amount_minor END) <> 0
     ORDER BY defect NULLS LAST
     LIMIT 1;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF suspect.defect IS NOT NULL THEN
        RAISE EXCEPTION '%, ledger transaction %', suspect.defect, suspect.transaction_id
            USING ERRCODE = 'check_violation';
    END IF;

    -- Only reversals come this far.
    IF EXISTS (
        WITH mirrored AS (
            SELECT t.id, o.account_id, CASE o.direction WHEN 'D' THEN 'C' ELSE 'D' END AS direction,
                   o.amount_minor, o.entry_type, o.payment_id
              FROM ledger_transaction t
              JOIN ledger_entry o ON o.transaction_id = t.reverses_id
             WHERE t.id IN (SELECT transaction_id FROM new_entries)
        ), written AS (
            SELECT t.id, e.account_id, e.direction, e.amount_minor, e.entry_type, e.payment_id
              FROM new_entries e
              JOIN ledger_transaction t ON t.id = e.transaction_id
             WHERE t.reverses_id IS NOT NULL
        )
        (TABLE mirrored EXCEPT ALL TABLE written) UNION ALL
        (TABLE written EXCEPT ALL TABLE mirrored)
    ) THEN
        RAISE EXCEPTION 'ledger_not_a_mirror: a reversal swaps the sides of one transaction exactly'
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER ledger_check_entries AFTER INSERT ON ledger_entry
    REFERENCING NEW TABLE AS new_entries
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_check_entries();
ALTER TABLE ledger_entry ENABLE ALWAYS TRIGGER ledger_check_entries;
