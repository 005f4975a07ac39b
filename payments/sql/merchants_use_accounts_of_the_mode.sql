-- A merchant's live payments run through a live account of a PSP, and its test payments through a
-- test account: otherwise goods are sent out for money that does not exist. An account keeps its
-- mode. As payments.services.commands.merchants says in Python.

CREATE FUNCTION payments_refuse_account_of_other_mode() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    wrong text;
BEGIN
    SELECT string_agg(a.code, ', ') INTO wrong
      FROM payments_psp_account a
     WHERE a.id = NEW.live_psp_account_id AND NOT a.livemode
        OR a.id = NEW.test_psp_account_id AND a.livemode;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'payments_account_of_other_mode: merchant % would use % in the wrong mode',
            NEW.id, wrong USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER accounts_of_the_mode_when_made BEFORE INSERT ON payments_merchant
    FOR EACH ROW EXECUTE FUNCTION payments_refuse_account_of_other_mode();

CREATE TRIGGER accounts_of_the_mode_when_changed
    BEFORE UPDATE OF test_psp_account_id, live_psp_account_id ON payments_merchant
    FOR EACH ROW EXECUTE FUNCTION payments_refuse_account_of_other_mode();
