-- A setup attempt goes to the PSP account of its payment method: no other knows the token. The setup
-- intent moves to another account only while no attempt of it is open or has succeeded. `new_attempt` in services/commands/setups/attempts.py
-- says the same in Python.

CREATE FUNCTION payments_setup_attempt_fits_account() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM payments_payment_method m
                    WHERE m.id = NEW.payment_method_id
                      AND m.psp_account_id = NEW.psp_account_id) THEN
        RAISE EXCEPTION 'setup_at_other_account: payment method % is not of account %',
            NEW.payment_method_id, NEW.psp_account_id USING ERRCODE = 'check_violation';
    END IF;
    IF NOT EXISTS (SELECT FROM payments_setup_intent s
                    WHERE s.id = NEW.setup_intent_id
                      AND s.psp_account_id = NEW.psp_account_id) THEN
        RAISE EXCEPTION 'setup_at_other_account: setup intent % is not at account %',
            NEW.setup_intent_id, NEW.psp_account_id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER setup_attempt_fits_account AFTER INSERT ON payments_setup_attempt
    FOR EACH ROW EXECUTE FUNCTION payments_setup_attempt_fits_account();

CREATE FUNCTION payments_setup_intent_fits_attempts() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM payments_setup_attempt a
                WHERE a.setup_intent_id = NEW.id AND a.psp_account_id <> NEW.psp_account_id
                  AND a.status IN ({blocking})) THEN
        RAISE EXCEPTION 'setup_at_other_account: setup intent % has an attempt that is not at '
            'account %', NEW.id, NEW.psp_account_id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER setup_intent_fits_attempts AFTER UPDATE OF psp_account_id ON payments_setup_intent
    FOR EACH ROW WHEN (OLD.psp_account_id <> NEW.psp_account_id)
    EXECUTE FUNCTION payments_setup_intent_fits_attempts();
