-- At commit, each new ledger transaction has its entries, and names the database transaction that
-- wrote it.
-- The planner setting keeps the plan of empty tables (a sequential scan) out of the plan cache.

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

CREATE CONSTRAINT TRIGGER ledger_check_transaction AFTER INSERT ON ledger_transaction
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION ledger_check_transaction();
ALTER TABLE ledger_transaction ENABLE ALWAYS TRIGGER ledger_check_transaction;
