-- A service's key that was revoked is never accepted again.

CREATE FUNCTION payments_refuse_unrevoked_service() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'payments_service_stays_revoked: the key of % was revoked at %',
        OLD.name, OLD.revoked_at USING ERRCODE = 'check_violation';
END $$;

CREATE TRIGGER revoked_for_good BEFORE UPDATE ON payments_service_key FOR EACH ROW
    WHEN (OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS DISTINCT FROM OLD.revoked_at)
    EXECUTE FUNCTION payments_refuse_unrevoked_service();
