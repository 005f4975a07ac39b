-- A checkout session is about the one payment or setup intent that names it, of the same merchant
-- and mode. At the end of the transaction that ends the session, that has ended alike: complete means
-- that money was taken, held, or is with a bank that decides, or that the method is kept; expired
-- means that the payment or setup intent is canceled.
-- As payments.services.outcomes.checkout_sessions says in Python.

CREATE OR REPLACE FUNCTION payments_session_follows_payment() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    paid payments_payment_intent%ROWTYPE;
    kept payments_setup_intent%ROWTYPE;
BEGIN
    IF NEW.setup_intent_id IS NOT NULL THEN
        SELECT * INTO kept FROM payments_setup_intent WHERE id = NEW.setup_intent_id;
        IF kept.checkout_session_id IS DISTINCT FROM NEW.id
           OR kept.merchant_id <> NEW.merchant_id OR kept.livemode <> NEW.livemode THEN
            RAISE EXCEPTION 'session_of_other_setup: setup intent % is not of session %',
                NEW.setup_intent_id, NEW.id USING ERRCODE = 'check_violation';
        END IF;
        IF TG_OP = 'UPDATE' AND (
            NEW.status = 'complete' AND kept.status <> 'succeeded'
            OR NEW.status = 'expired' AND kept.status <> 'canceled') THEN
            RAISE EXCEPTION 'session_against_setup: session % cannot be % while its setup is %',
                NEW.id, NEW.status, kept.status USING ERRCODE = 'check_violation';
        END IF;
        RETURN NULL;
    END IF;
    SELECT * INTO paid FROM payments_payment_intent WHERE id = NEW.intent_id;
    IF paid.checkout_session_id IS DISTINCT FROM NEW.id
       OR paid.merchant_id <> NEW.merchant_id OR paid.livemode <> NEW.livemode THEN
        RAISE EXCEPTION 'session_of_other_payment: payment % is not of session %',
            NEW.intent_id, NEW.id USING ERRCODE = 'check_violation';
    END IF;
    IF TG_OP = 'UPDATE' AND (
        NEW.status = 'complete' AND paid.status IN ('INITIATED', 'FAILED', 'CANCELED')
        OR NEW.status = 'expired' AND paid.status <> 'CANCELED') THEN
        RAISE EXCEPTION 'session_against_payment: session % cannot be % while its payment is %',
            NEW.id, NEW.status, paid.status USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

DROP TRIGGER IF EXISTS session_has_its_payment ON payments_checkout_session;
CREATE CONSTRAINT TRIGGER session_has_its_payment AFTER INSERT ON payments_checkout_session
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION payments_session_follows_payment();

DROP TRIGGER IF EXISTS session_ends_with_its_payment ON payments_checkout_session;
CREATE CONSTRAINT TRIGGER session_ends_with_its_payment AFTER UPDATE OF status
    ON payments_checkout_session DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.status <> OLD.status)
    EXECUTE FUNCTION payments_session_follows_payment();
