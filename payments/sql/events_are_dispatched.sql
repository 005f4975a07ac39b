-- Each new event enters the outgoing queues in the same statement, so that no writer of events can
-- forget it. Without an enabled endpoint of its merchant and mode there is nothing to fan out: an
-- endpoint gets what happens after it was enabled.

CREATE OR REPLACE FUNCTION payments_dispatch_events() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    INSERT INTO payments_unnumbered_event (event_id) SELECT id FROM written;
    INSERT INTO payments_dispatch (event_id, aggregateid, seq)
        SELECT w.id, w.aggregateid, w.seq FROM written w
         WHERE EXISTS (
               SELECT FROM payments_webhook_endpoint e
                WHERE e.merchant_id = w.merchant_id AND e.livemode = w.livemode
                  AND e.status = 'enabled');
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER event_dispatch AFTER INSERT ON payments_event
    REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION payments_dispatch_events();
