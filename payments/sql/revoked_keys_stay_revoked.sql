-- An API key that was revoked, or has expired, is never accepted again: neither moment is moved
-- back or cleared. A leaked key would work again otherwise.

CREATE FUNCTION payments_refuse_revival() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'payments_key_stays_ended: key % was revoked at % and ends at %',
        OLD.id, OLD.revoked_at, OLD.expires_at USING ERRCODE = 'check_violation';
END $$;

CREATE TRIGGER ended_for_good BEFORE UPDATE ON payments_api_key FOR EACH ROW
    WHEN (OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS DISTINCT FROM OLD.revoked_at
          OR OLD.expires_at IS NOT NULL AND NEW.expires_at IS NULL
          OR OLD.expires_at <= now() AND NEW.expires_at > OLD.expires_at)
    EXECUTE FUNCTION payments_refuse_revival();
