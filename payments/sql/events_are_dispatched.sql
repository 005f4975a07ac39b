-- Each new event enters the outgoing queue in the same statement, so that no writer of events can
-- forget it.

CREATE FUNCTION payments_dispatch_events() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    INSERT INTO payments_dispatch (event_id, aggregateid, seq)
        SELECT id, aggregateid, seq FROM written;
    RETURN NULL;
END $$;

CREATE TRIGGER event_dispatch AFTER INSERT ON payments_event REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION payments_dispatch_events();
