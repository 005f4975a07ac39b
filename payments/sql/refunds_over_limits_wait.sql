-- A refund with which more of a payment goes back than its merchant allows one person has a request for
-- approval, and no operation before another person has approved that. What gives back a charge that
-- succeeded late, and what the PSP did by itself, waits for no one. As payments.services.commands.refund
-- and payments.services.commands.approved.refunds in Python.

CREATE FUNCTION payments_is_limit_by_currency(given jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog AS $$
    SELECT CASE WHEN jsonb_typeof(given) <> 'object' THEN false ELSE NOT EXISTS (
        SELECT FROM jsonb_each(given) AS part(name, value)
         WHERE NOT (name ~ '^[A-Z][A-Z][A-Z]$' AND jsonb_typeof(value) = 'number'
                    AND value::text ~ '^[0-9]{1,15}$')
    ) END
$$;

ALTER TABLE payments_merchant ADD CONSTRAINT merchant_refund_approval_limits
    CHECK (payments_is_limit_by_currency(refund_approval_limits));

CREATE FUNCTION payments_refuse_unapproved_refund() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF EXISTS (
        SELECT FROM payments_merchant m
          JOIN payments_payment_intent i ON i.id = NEW.intent_id
          JOIN payments_operation o ON o.id = NEW.operation_id
         WHERE m.id = NEW.merchant_id AND m.refund_approval_limits ? NEW.currency
           AND i.amount_refunded_minor + i.amount_refund_pending_minor
               > (m.refund_approval_limits ->> NEW.currency)::bigint
           AND o.status = 'SENDING' AND o.excess_minor = 0 AND o.actor NOT LIKE 'job:%') THEN
        RAISE EXCEPTION 'refund_needs_approval: refund % is over the limit of its merchant', NEW.id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER refund_over_limit_waits AFTER INSERT ON payments_refund
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.approval_id IS NULL)
    EXECUTE FUNCTION payments_refuse_unapproved_refund();

CREATE FUNCTION payments_refuse_refund_of_other_approval() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF NEW.operation_id IS NOT NULL OR NOT EXISTS (
        SELECT FROM payments_approval a WHERE a.id = NEW.approval_id AND a.status = 'requested'
           AND a.command = 'refund_payment'
           AND (a.merchant_id, a.livemode, a.intent_id, a.amount_minor, a.currency)
             = (NEW.merchant_id, NEW.livemode, NEW.intent_id, NEW.amount_minor, NEW.currency)) THEN
        RAISE EXCEPTION 'refund_of_other_approval: refund % is not what % asks for', NEW.id,
            NEW.approval_id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER refund_is_as_requested BEFORE INSERT ON payments_refund
    FOR EACH ROW WHEN (NEW.approval_id IS NOT NULL)
    EXECUTE FUNCTION payments_refuse_refund_of_other_approval();

-- A refund gets its first operation when it is approved, if so much is left and not charged back; after
-- that it goes over to the replacement of its operation, and to nothing else.
CREATE OR REPLACE FUNCTION payments_refuse_other_operation_of_refund() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF OLD.operation_id IS NOT NULL AND NOT EXISTS (
        SELECT FROM payments_operation o
         WHERE o.id = NEW.operation_id AND o.replaces_id = OLD.operation_id) THEN
        RAISE EXCEPTION 'refund_of_other_operation: % does not replace the operation of refund %',
            NEW.operation_id, NEW.id USING ERRCODE = 'check_violation';
    END IF;
    IF OLD.operation_id IS NULL AND NOT EXISTS (
        SELECT FROM payments_approval a
          JOIN payments_operation o ON o.id = NEW.operation_id
          JOIN payments_payment_intent i ON i.id = NEW.intent_id
          JOIN payments_merchant m ON m.id = NEW.merchant_id
         WHERE a.id = NEW.approval_id AND a.status = 'approved'
           AND NEW.status = 'pending' AND o.status = 'SENDING'
           AND (o.merchant_id, o.livemode, o.intent_id, o.charge_id, o.kind)
             = (NEW.merchant_id, NEW.livemode, NEW.intent_id, NEW.charge_id, 'refund')
           AND (o.amount_minor, o.currency) = (NEW.amount_minor, NEW.currency)
           AND NEW.charge_id = i.latest_charge_id
           AND i.amount_refunded_minor + i.amount_refund_pending_minor
               + CASE WHEN m.disputed_refund_policy = 'flag' THEN 0 ELSE (
                     SELECT coalesce(sum(d.amount_minor), 0) FROM payments_dispute d
                      WHERE d.charge_id = NEW.charge_id
                        AND d.status IN ('needs_response', 'under_review', 'lost')) END
               <= i.amount_captured_minor) THEN
        RAISE EXCEPTION 'refund_not_approved: % may not be the operation of refund %',
            NEW.operation_id, NEW.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
