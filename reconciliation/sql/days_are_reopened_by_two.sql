-- Closed days of the books are opened again only by what a second person approves, in the transaction
-- that carries it out: of these PSP accounts, and back to this day.

CREATE FUNCTION reconciliation_check_reopening() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM payments_approval a
         WHERE a.id = NEW.reopened_under AND a.command = 'reopen_period' AND a.status = 'approved'
           AND a.content::jsonb -> 'parameters' ->> 'after' = NEW.closed_through::text
           AND a.content::jsonb -> 'parameters' -> 'psp_accounts' ? NEW.psp_account) THEN
        RAISE EXCEPTION 'days_are_reopened_by_two: no approval opens the days after % of % again',
            NEW.closed_through, NEW.psp_account USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER reopened_by_two BEFORE UPDATE ON ledger_period FOR EACH ROW
    WHEN (NEW.reopened_under IS DISTINCT FROM OLD.reopened_under)
    EXECUTE FUNCTION reconciliation_check_reopening();
ALTER TABLE ledger_period ENABLE ALWAYS TRIGGER reopened_by_two;

CREATE FUNCTION reconciliation_refuse_period() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'days_are_reopened_by_two: days of % are closed before they are opened again',
        NEW.psp_account USING ERRCODE = 'check_violation';
END $$;

CREATE TRIGGER reopened_by_two_only BEFORE INSERT ON ledger_period FOR EACH ROW
    WHEN (NEW.reopened_under IS NOT NULL) EXECUTE FUNCTION reconciliation_refuse_period();
ALTER TABLE ledger_period ENABLE ALWAYS TRIGGER reopened_by_two_only;
