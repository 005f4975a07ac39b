-- A report's file is in parts that follow each other from 0. They are added while the report is being
-- received, and it is received only when they have as many bytes as the file.

CREATE FUNCTION reconciliation_refuse_late_chunk() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM reconciliation_settlement_report r
                    WHERE r.id = NEW.report_id AND r.status = 'receiving') THEN
        RAISE EXCEPTION 'late_chunk: report % is not being received', NEW.report_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER late_chunk BEFORE INSERT ON reconciliation_report_chunk
    FOR EACH ROW EXECUTE FUNCTION reconciliation_refuse_late_chunk();

CREATE FUNCTION reconciliation_check_file() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    parts bigint;
    last_number bigint;
    bytes bigint;
BEGIN
    SELECT count(*), max(number), sum(octet_length(body)) INTO parts, last_number, bytes
      FROM reconciliation_report_chunk WHERE report_id = NEW.id;
    IF bytes IS DISTINCT FROM NEW.body_bytes OR parts <> last_number + 1 THEN
        RAISE EXCEPTION 'file_is_not_whole: % bytes of report % are here, of %',
            bytes, NEW.id, NEW.body_bytes USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER file_is_whole BEFORE UPDATE OF status ON reconciliation_settlement_report
    FOR EACH ROW WHEN (OLD.status = 'receiving' AND NEW.status <> 'receiving')
    EXECUTE FUNCTION reconciliation_check_file();
