-- A line counts only once the whole file of its report was read and found complete.

CREATE FUNCTION reconciliation_refuse_early_lines() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    early uuid;
BEGIN
    SELECT r.id INTO early
      FROM (SELECT DISTINCT report_id FROM added) AS named
      JOIN reconciliation_settlement_report r ON r.id = named.report_id
     WHERE r.whole_at IS NULL LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'early_line: report % was not found whole', early
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER early_line AFTER INSERT ON reconciliation_settlement_line
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION reconciliation_refuse_early_lines();
