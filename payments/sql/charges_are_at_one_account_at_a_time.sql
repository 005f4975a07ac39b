-- A charge belongs to one PSP account, and with it everything that changes or refunds it. A payment
-- names the account of its newest charge. It may move to another one only while no charge of it is
-- open or holds money. `PaymentIntent.name_charge` and `BLOCKING_CHARGE` say the same in Python.

CREATE FUNCTION payments_operation_fits_account() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF NEW.kind = 'authorize' THEN
        IF NOT EXISTS (SELECT FROM payments_payment_intent i
                        WHERE i.id = NEW.intent_id AND i.psp_account_id = NEW.psp_account_id) THEN
            RAISE EXCEPTION 'charge_at_other_account: payment % is not charged at account %',
                NEW.intent_id, NEW.psp_account_id USING ERRCODE = 'check_violation';
        END IF;
    ELSIF NOT EXISTS (SELECT FROM payments_operation c
                       WHERE c.id = NEW.charge_id AND c.kind = 'authorize'
                         AND (c.intent_id, c.psp_account_id)
                           = (NEW.intent_id, NEW.psp_account_id)) THEN
        RAISE EXCEPTION 'change_at_other_account: charge % is not at account %',
            NEW.charge_id, NEW.psp_account_id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER operation_fits_account AFTER INSERT ON payments_operation
    FOR EACH ROW WHEN (NEW.kind <> 'authorize' OR NEW.status = 'SENDING')
    EXECUTE FUNCTION payments_operation_fits_account();

CREATE FUNCTION payments_payment_fits_charges() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM payments_operation c
                WHERE c.intent_id = NEW.id AND c.kind = 'authorize'
                  AND c.psp_account_id <> NEW.psp_account_id
                  AND (c.id = NEW.latest_charge_id OR c.status IN ({blocking}))) THEN
        RAISE EXCEPTION 'payment_at_other_account: payment % has a charge that is not at account %',
            NEW.id, NEW.psp_account_id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER payment_fits_charges
    AFTER UPDATE OF psp_account_id, latest_charge_id ON payments_payment_intent
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (OLD.psp_account_id <> NEW.psp_account_id
                       OR OLD.latest_charge_id IS DISTINCT FROM NEW.latest_charge_id)
    EXECUTE FUNCTION payments_payment_fits_charges();
