-- An operation that began at the PSP is written with its outcome. At commit it must not look like
-- one of ours that is on its way to the PSP, or that may be sent.

CREATE FUNCTION payments_refuse_sendable_external_operation() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM payments_operation o WHERE o.id = NEW.id
                AND o.status IN ('SENDING', 'UNKNOWN', 'NOT_SENT')) THEN
        RAISE EXCEPTION 'external_operation_is_never_sent: operation % began at the PSP', NEW.id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER external_operation_is_never_sent AFTER INSERT OR UPDATE ON payments_operation
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.psp_key LIKE 'psp:%')
    EXECUTE FUNCTION payments_refuse_sendable_external_operation();
