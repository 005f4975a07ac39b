-- A key is not deleted while the outcome of its operation is open. Otherwise the merchant's repeat
-- would charge again.

CREATE FUNCTION payments_keep_open_key() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM payments_operation o WHERE o.id = OLD.operation_id AND o.status IN
               ('SENDING', 'UNKNOWN', 'PENDING', 'REQUIRES_ACTION')) THEN
        RAISE EXCEPTION 'key_in_use: an operation of idempotency key % is still open', OLD.id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN OLD;
END $$;

CREATE TRIGGER idempotency_keep_open BEFORE DELETE ON payments_idempotency_key
    FOR EACH ROW EXECUTE FUNCTION payments_keep_open_key();
