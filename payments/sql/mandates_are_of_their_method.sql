-- A method that is debited by a mandate is charged, and kept, by one alone: of the same merchant, mode
-- and payment method, active or made by this very charge or setup. An active mandate is of a method
-- that is not detached, and so of its customer: a mandate has no other.
-- As payments.services.commands.mandates and outcomes.mandates say in Python.

CREATE OR REPLACE FUNCTION payments_named_mandate_fits() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    named payments_mandate%ROWTYPE;
BEGIN
    IF NEW.mandate_id IS NULL THEN
        RAISE EXCEPTION 'mandate_missing: % of % needs a mandate', NEW.id, TG_TABLE_NAME
            USING ERRCODE = 'check_violation';
    END IF;
    SELECT * INTO named FROM payments_mandate WHERE id = NEW.mandate_id;
    IF (named.merchant_id, named.livemode, named.payment_method_id) IS DISTINCT FROM
       (NEW.merchant_id, NEW.livemode, NEW.payment_method_id) THEN
        RAISE EXCEPTION 'mandate_of_other_method: mandate % is not of payment method %',
            NEW.mandate_id, NEW.payment_method_id USING ERRCODE = 'check_violation';
    END IF;
    IF named.status <> 'active' AND (named.status <> 'pending' OR named.made_by_id <> NEW.id) THEN
        RAISE EXCEPTION 'mandate_not_active: mandate % is %', NEW.mandate_id, named.status
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER operation_names_its_mandate AFTER INSERT ON payments_operation
    FOR EACH ROW WHEN (NEW.mandate_id IS NOT NULL
                       OR NEW.payment_method_details ->> 'type' IN ({methods}))
    EXECUTE FUNCTION payments_named_mandate_fits();

CREATE OR REPLACE TRIGGER attempt_names_its_mandate AFTER INSERT ON payments_setup_attempt
    FOR EACH ROW WHEN (NEW.mandate_id IS NOT NULL
                       OR NEW.payment_method_details ->> 'type' IN ({methods}))
    EXECUTE FUNCTION payments_named_mandate_fits();

CREATE OR REPLACE FUNCTION payments_mandates_have_a_method() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    method_id uuid := (to_jsonb(NEW) ->> TG_ARGV[0])::uuid;
BEGIN
    IF EXISTS (SELECT FROM payments_mandate m
                 LEFT JOIN payments_payment_method p ON p.id = m.payment_method_id
                WHERE m.payment_method_id = method_id
                  AND ((p.merchant_id, p.livemode) IS DISTINCT FROM (m.merchant_id, m.livemode)
                       OR m.status = 'active' AND p.detached_at IS NOT NULL)) THEN
        RAISE EXCEPTION 'mandate_without_method: a mandate of payment method % is not of it', method_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

DROP TRIGGER IF EXISTS mandate_has_a_method ON payments_mandate;
CREATE CONSTRAINT TRIGGER mandate_has_a_method AFTER INSERT OR UPDATE OF status
    ON payments_mandate DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION payments_mandates_have_a_method('payment_method_id');

DROP TRIGGER IF EXISTS detached_method_has_no_mandate ON payments_payment_method;
CREATE CONSTRAINT TRIGGER detached_method_has_no_mandate AFTER UPDATE OF detached_at
    ON payments_payment_method DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.detached_at IS NOT NULL)
    EXECUTE FUNCTION payments_mandates_have_a_method('id');
