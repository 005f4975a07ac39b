-- A superuser of the console is made with the login that owns the tables (`manage.py staff
-- superuser`), never by the application: a statement smuggled into it would be enough otherwise.

CREATE FUNCTION paymentsite_refuse_superuser() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF NOT pg_has_role((SELECT relowner FROM pg_class WHERE oid = TG_RELID), 'USAGE') THEN
        RAISE EXCEPTION 'superusers_are_made_by_the_owner: % may not make % a superuser',
            current_user, NEW.username USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER superusers_of_the_owner BEFORE INSERT ON auth_user FOR EACH ROW
    WHEN (NEW.is_superuser) EXECUTE FUNCTION paymentsite_refuse_superuser();

CREATE TRIGGER superusers_of_the_owner_later BEFORE UPDATE ON auth_user FOR EACH ROW
    WHEN (NEW.is_superuser AND NOT OLD.is_superuser)
    EXECUTE FUNCTION paymentsite_refuse_superuser();
