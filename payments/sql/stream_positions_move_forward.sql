-- What a consumer group has consumed stays consumed. The stream was trimmed by that position, so a
-- stale process must not move it back.

CREATE FUNCTION payments_refuse_step_back() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'payments_position_goes_back: group % from % to %',
        OLD.name, OLD.consumed_to, NEW.consumed_to USING ERRCODE = 'check_violation';
END $$;

CREATE TRIGGER forward_only BEFORE UPDATE ON payments_stream_group FOR EACH ROW
    WHEN (NEW.consumed_to < OLD.consumed_to) EXECUTE FUNCTION payments_refuse_step_back();
