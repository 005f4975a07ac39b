-- A balance snapshot counts only entries below its horizon, and no entry can appear there any more:
-- every database transaction below it has ended.

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

CREATE TRIGGER ledger_check_snapshots AFTER INSERT ON ledger_balance_snapshot
    REFERENCING NEW TABLE AS new_snapshots
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_check_snapshots();
ALTER TABLE ledger_balance_snapshot ENABLE ALWAYS TRIGGER ledger_check_snapshots;
