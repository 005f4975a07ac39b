-- What a merchant asks for can be paid in its currency: whole krónur and shillings, and no last digit
-- of three decimals. As payments.amounts does in Python. Amounts that a PSP raised in its dashboard
-- are booked as they are: they change what is authorized as well, and are not asked here.

CREATE FUNCTION payments_refuse_fraction() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    step integer := CASE
        WHEN NEW.currency IN ('ISK', 'UGX') THEN 100
        WHEN NEW.currency IN ('BHD', 'IQD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND') THEN 10
        ELSE 1 END;
BEGIN
    IF NEW.amount_minor % step <> 0 THEN
        RAISE EXCEPTION 'payments_amount_not_divisible: % minor units of %, not divisible by %',
            NEW.amount_minor, NEW.currency, step USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER divisible_when_made BEFORE INSERT ON payments_payment_intent
    FOR EACH ROW EXECUTE FUNCTION payments_refuse_fraction();

CREATE TRIGGER divisible_when_changed BEFORE UPDATE ON payments_payment_intent FOR EACH ROW
    WHEN (OLD.status IN ('INITIATED', 'FAILED') AND NEW.status = OLD.status
          AND NEW.amount_authorized_minor = OLD.amount_authorized_minor
          AND (NEW.amount_minor, NEW.currency) IS DISTINCT FROM (OLD.amount_minor, OLD.currency))
    EXECUTE FUNCTION payments_refuse_fraction();
