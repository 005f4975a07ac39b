-- What a consumer group has consumed stays consumed. The stream was trimmed by it, and it is all
-- that keeps an event from a second effect.

CREATE OR REPLACE FUNCTION payments_refuse_step_back() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'payments_position_goes_back: group % from % to %',
        OLD.name, OLD.consumed, NEW.consumed USING ERRCODE = 'check_violation';
END $$;

CREATE TRIGGER forward_only BEFORE UPDATE ON payments_stream_group FOR EACH ROW
    WHEN (NOT OLD.consumed <@ NEW.consumed) EXECUTE FUNCTION payments_refuse_step_back();
