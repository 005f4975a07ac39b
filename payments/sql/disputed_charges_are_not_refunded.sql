-- What the bank charged back is not refunded as well, unless the merchant's policy is 'flag' (then
-- the command opens a case). The rest may be refunded. A dispute of another charge of the same
-- payment does not count. The intent is locked, so its disputes stand still meanwhile. A refund that
-- was sent before its charge began to count is no new one: then what is captured changes as well.

CREATE OR REPLACE FUNCTION payments_refuse_refund_of_disputed() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    charged_back bigint;
BEGIN
    SELECT coalesce(sum(d.amount_minor), 0) INTO charged_back FROM payments_dispute d
     WHERE d.charge_id = NEW.latest_charge_id
       AND d.status IN ('needs_response', 'under_review', 'lost');
    IF charged_back > 0
       AND NEW.amount_refunded_minor + NEW.amount_refund_pending_minor + charged_back
           > NEW.amount_captured_minor
       AND EXISTS (SELECT FROM payments_merchant m WHERE m.id = NEW.merchant_id
                      AND m.disputed_refund_policy <> 'flag') THEN
        RAISE EXCEPTION 'refund_of_disputed: the charge of payment % was charged back', NEW.id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE TRIGGER refund_of_disputed BEFORE UPDATE OF amount_refund_pending_minor
    ON payments_payment_intent FOR EACH ROW
    WHEN (NEW.amount_disputed_minor > 0
          AND NEW.amount_refund_pending_minor > OLD.amount_refund_pending_minor
          AND NEW.amount_captured_minor = OLD.amount_captured_minor)
    EXECUTE FUNCTION payments_refuse_refund_of_disputed();
