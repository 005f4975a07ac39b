-- Each block of the hash chain follows the one before it, its hash is that of its content, and the
-- ranges of one source follow each other without a gap. Blocks are never changed or deleted.

CREATE FUNCTION ledger_check_seal() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    before_it ledger_seal;
    of_source ledger_seal;
BEGIN
    SELECT * INTO before_it FROM ledger_seal WHERE number = NEW.number - 1;
    IF NEW.number <> 1 AND before_it.number IS NULL
       OR NEW.previous_sha256 <> coalesce(before_it.sha256, decode(repeat('00', 32), 'hex')) THEN
        RAISE EXCEPTION 'ledger_seal_chain: block % does not follow the block before it', NEW.number
            USING ERRCODE = 'check_violation';
    END IF;
    SELECT * INTO of_source FROM ledger_seal
     WHERE source = NEW.source AND number < NEW.number ORDER BY number DESC LIMIT 1;
    IF NEW.first_id <> coalesce(of_source.until_id, '00000000-0000-0000-0000-000000000000') THEN
        RAISE EXCEPTION 'ledger_seal_gap: block % leaves out rows of %', NEW.number, NEW.source
            USING ERRCODE = 'check_violation';
    END IF;
    IF length(NEW.leaves) <> NEW.rows * 24 OR NEW.sha256 <> sha256(
           convert_to(concat_ws('|', NEW.number, NEW.format, NEW.source, NEW.first_id,
                                NEW.until_id, NEW.rows) || '|', 'UTF8')
           || NEW.content_sha256 || sha256(NEW.leaves) || NEW.previous_sha256) THEN
        RAISE EXCEPTION 'ledger_seal_hash: block % has not the hash of its content', NEW.number
            USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.until_id > (lpad(to_hex(ledger_ids_complete_before()), 12, '0')
                       || repeat('0', 20))::uuid THEN
        RAISE EXCEPTION 'ledger_seal_ahead: rows of block % may still appear', NEW.number
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER ledger_check_seal BEFORE INSERT ON ledger_seal
    FOR EACH ROW EXECUTE FUNCTION ledger_check_seal();
ALTER TABLE ledger_seal ENABLE ALWAYS TRIGGER ledger_check_seal;

CREATE TRIGGER ledger_append_only BEFORE UPDATE OR DELETE ON ledger_seal
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
ALTER TABLE ledger_seal ENABLE ALWAYS TRIGGER ledger_append_only;
