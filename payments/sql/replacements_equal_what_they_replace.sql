-- A replacement repeats an operation that never reached the PSP: the same kind, amount and payment,
-- and never a charge. A refund goes over to the replacement of its operation, and to nothing else.

CREATE FUNCTION payments_refuse_other_replacement() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF NEW.kind = 'authorize' OR NOT EXISTS (
        SELECT FROM payments_operation o WHERE o.id = NEW.replaces_id AND o.status = 'NOT_SENT'
           AND (o.merchant_id, o.livemode, o.intent_id, o.psp_account_id, o.charge_id)
             = (NEW.merchant_id, NEW.livemode, NEW.intent_id, NEW.psp_account_id, NEW.charge_id)
           AND (o.kind, o.amount_minor, o.currency, o.final)
             = (NEW.kind, NEW.amount_minor, NEW.currency, NEW.final)) THEN
        RAISE EXCEPTION 'replacement_differs: operation % does not repeat %', NEW.id, NEW.replaces_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER replacement_equals BEFORE INSERT ON payments_operation
    FOR EACH ROW WHEN (NEW.replaces_id IS NOT NULL)
    EXECUTE FUNCTION payments_refuse_other_replacement();

CREATE FUNCTION payments_refuse_other_operation_of_refund() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM payments_operation o
                    WHERE o.id = NEW.operation_id AND o.replaces_id = OLD.operation_id) THEN
        RAISE EXCEPTION 'refund_of_other_operation: % does not replace the operation of refund %',
            NEW.operation_id, NEW.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER refund_follows_replacement BEFORE UPDATE OF operation_id ON payments_refund
    FOR EACH ROW WHEN (NEW.operation_id IS DISTINCT FROM OLD.operation_id)
    EXECUTE FUNCTION payments_refuse_other_operation_of_refund();
