"""Double entry, append-only and no late entry, as PostgreSQL sees them.

Plain SQL and not django-pgtrigger: its triggers obey a session setting (`pgtrigger.ignore`) that
any login may change. These are ENABLE ALWAYS, so that `session_replication_role` does not silence
them either; only the owner of the tables can. TRUNCATE is refused by missing rights, not by a
trigger, since test databases are emptied with it by their owner.

Each function has a fixed search path with pg_temp last: nobody can put a table of the same name in
front. The planner settings keep the first, empty day's plan (a sequential scan) from being cached
while the tables grow.
"""

from django.db import migrations

FUNCTIONS = """
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

CREATE FUNCTION ledger_check_transaction() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
SET enable_seqscan = off
AS $$
BEGIN
    IF NEW.xid <> pg_current_xact_id() THEN
        RAISE EXCEPTION 'ledger_forged_xid: xid is not the running database transaction, '
            'ledger transaction %', NEW.id USING ERRCODE = 'check_violation';
    END IF;
    -- Entries that exist are balanced, of one kind, and therefore two or more.
    IF NOT EXISTS (SELECT FROM ledger_entry e WHERE e.transaction_id = NEW.id) THEN
        RAISE EXCEPTION 'ledger_empty: ledger transaction % has no entries', NEW.id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION ledger_check_snapshots() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM new_snapshots s
                WHERE s.horizon > pg_snapshot_xmin(pg_current_snapshot())) THEN
        RAISE EXCEPTION 'ledger_snapshot_ahead: entries below this horizon may still appear'
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION ledger_refuse_change() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'ledger_append_only: % of % is refused; book a reversal instead',
        TG_OP, TG_TABLE_NAME USING ERRCODE = 'check_violation';
END $$;
"""

TRIGGERS = """
CREATE TRIGGER ledger_check_entries AFTER INSERT ON ledger_entry
    REFERENCING NEW TABLE AS new_entries
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_check_entries();
ALTER TABLE ledger_entry ENABLE ALWAYS TRIGGER ledger_check_entries;

CREATE CONSTRAINT TRIGGER ledger_check_transaction AFTER INSERT ON ledger_transaction
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION ledger_check_transaction();
ALTER TABLE ledger_transaction ENABLE ALWAYS TRIGGER ledger_check_transaction;

CREATE TRIGGER ledger_check_snapshots AFTER INSERT ON ledger_balance_snapshot
    REFERENCING NEW TABLE AS new_snapshots
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_check_snapshots();
ALTER TABLE ledger_balance_snapshot ENABLE ALWAYS TRIGGER ledger_check_snapshots;
"""

APPEND_ONLY_TABLES = (
    "ledger_account",
    "ledger_transaction",
    "ledger_entry",
    "ledger_balance_snapshot",
)

APPEND_ONLY = "".join(
    f"""
CREATE TRIGGER ledger_append_only BEFORE UPDATE OR DELETE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
ALTER TABLE {table} ENABLE ALWAYS TRIGGER ledger_append_only;
"""
    for table in APPEND_ONLY_TABLES
)

REVERSE = (
    "".join(f"DROP TRIGGER ledger_append_only ON {table};" for table in APPEND_ONLY_TABLES)
    + """
DROP TRIGGER ledger_check_entries ON ledger_entry;
DROP TRIGGER ledger_check_transaction ON ledger_transaction;
DROP TRIGGER ledger_check_snapshots ON ledger_balance_snapshot;
DROP FUNCTION ledger_check_entries, ledger_check_transaction, ledger_check_snapshots,
    ledger_refuse_change;
"""
)


class Migration(migrations.Migration):
    dependencies = [("ledger", "0001_initial")]

    operations = [migrations.RunSQL(FUNCTIONS + TRIGGERS + APPEND_ONLY, REVERSE)]
