-- A match is written by the database transaction that marks its line as matched: not after it, and
-- not without it.

CREATE FUNCTION reconciliation_refuse_late_match() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM reconciliation_settlement_line l
                WHERE l.id = NEW.line_id AND l.status = 'matched') THEN
        RAISE EXCEPTION 'late_match: line % is matched already', NEW.line_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER late_match BEFORE INSERT ON reconciliation_settlement_match
    FOR EACH ROW EXECUTE FUNCTION reconciliation_refuse_late_match();

CREATE FUNCTION reconciliation_refuse_lone_match() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM reconciliation_settlement_line l
                    WHERE l.id = NEW.line_id AND l.status = 'matched') THEN
        RAISE EXCEPTION 'lone_match: line % is not matched', NEW.line_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER lone_match AFTER INSERT ON reconciliation_settlement_match
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    EXECUTE FUNCTION reconciliation_refuse_lone_match();
