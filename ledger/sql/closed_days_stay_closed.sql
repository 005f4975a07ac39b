-- A closed day of the books takes no further posting. It is opened again only under an approval, which
-- the app that keeps approvals checks.
--
-- A day is closed in two steps, so that no posting is refused that began before. First
-- `closing_through` is set and committed: from then on `ledger.services` dates what is posted for
-- such a day with the first open one. Then `closed_through` is set, once every database transaction
-- has ended that may not have seen the first step: they had announced ids before (row_ids.sql).

CREATE FUNCTION ledger_check_period() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    seen_ms bigint;
BEGIN
    IF NEW.closing_through > (clock_timestamp() AT TIME ZONE 'UTC')::date THEN
        RAISE EXCEPTION 'ledger_period_ahead: % has not begun', NEW.closing_through
            USING ERRCODE = 'check_violation';
    END IF;
    IF TG_OP = 'INSERT' AND NEW.closed_through IS NOT NULL THEN
        RAISE EXCEPTION 'ledger_period_at_once: a day is closing before it is closed'
            USING ERRCODE = 'check_violation';
    END IF;
    IF TG_OP = 'INSERT' THEN
        RETURN NEW;
    END IF;
    IF (NEW.psp_account <> OLD.psp_account OR NEW.closing_through < OLD.closing_through
        OR OLD.closed_through IS NOT NULL
           AND (NEW.closed_through IS NULL OR NEW.closed_through < OLD.closed_through))
       AND (NEW.reopened_under IS NULL OR NEW.reopened_under = OLD.reopened_under
            OR NEW.closed_through IS DISTINCT FROM NEW.closing_through) THEN
        RAISE EXCEPTION 'ledger_period_reopened: days through % of % are closed',
            OLD.closing_through, OLD.psp_account USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.closed_through IS NOT DISTINCT FROM OLD.closed_through
       OR NEW.closed_through < OLD.closed_through THEN
        RETURN NEW;
    END IF;
    IF NEW.closed_through > OLD.closing_through THEN
        RAISE EXCEPTION 'ledger_period_at_once: a day is closing before it is closed'
            USING ERRCODE = 'check_violation';
    END IF;
    seen_ms := floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint;
    PERFORM pg_sleep(0.002);
    IF ledger_ids_complete_before() <= seen_ms THEN
        RAISE EXCEPTION 'ledger_period_busy: a transaction may still post for a day through %',
            NEW.closed_through USING ERRCODE = 'lock_not_available';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER ledger_check_period BEFORE INSERT OR UPDATE ON ledger_period
    FOR EACH ROW EXECUTE FUNCTION ledger_check_period();
ALTER TABLE ledger_period ENABLE ALWAYS TRIGGER ledger_check_period;

-- At commit, so that it sees every day that was closed meanwhile. Otherwise as it was
-- (transactions_have_entries.sql).
CREATE OR REPLACE FUNCTION ledger_check_transaction() RETURNS trigger LANGUAGE plpgsql
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
    IF EXISTS (SELECT FROM ledger_period p WHERE p.psp_account = NEW.psp_account
                AND NEW.effective_date <= p.closed_through) THEN
        RAISE EXCEPTION 'ledger_period_closed: % is closed for %, ledger transaction %',
            NEW.effective_date, NEW.psp_account, NEW.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
