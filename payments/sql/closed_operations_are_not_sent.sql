-- A worker notes the time before it sends an operation again. If the merchant has canceled the
-- refund meanwhile, or a result has closed the operation, nothing may be sent any more.

CREATE FUNCTION payments_refuse_to_send_closed() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'closed_operation_sent: operation % is %', OLD.id, OLD.status
        USING ERRCODE = 'check_violation';
END $$;

CREATE TRIGGER closed_is_not_sent BEFORE UPDATE OF resent_at ON payments_operation FOR EACH ROW
    WHEN ((OLD.resent_at IS NULL AND NEW.resent_at IS NOT NULL OR NEW.resent_at > OLD.resent_at)
          AND OLD.status NOT IN ('SENDING', 'UNKNOWN', 'PENDING', 'REQUIRES_ACTION'))
    EXECUTE FUNCTION payments_refuse_to_send_closed();
