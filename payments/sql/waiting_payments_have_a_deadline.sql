-- A payment that starts to wait, for the customer or for a capture, gets the time at which a worker
-- looks at it, so that no command or outcome can forget it.
-- A payment that goes on keeps its row until it is due; the worker that looks then deletes it. A
-- challenge that is waited for again, because a void came to nothing, keeps the time since it
-- waits.

CREATE FUNCTION payments_note_deadline() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    INSERT INTO payments_deadline AS d (intent_id, status, waiting_since, next_action_at)
        VALUES (NEW.id, NEW.status, now(), CASE NEW.status WHEN 'AUTHORIZED' THEN now()
                                           ELSE now() + interval '1 hour' END)
    ON CONFLICT (intent_id) DO UPDATE SET
        status = EXCLUDED.status,
        waiting_since = CASE WHEN d.status = 'REQUIRES_ACTION' AND d.status = EXCLUDED.status
                      THEN d.waiting_since ELSE EXCLUDED.waiting_since END,
        next_action_at = EXCLUDED.next_action_at;
    RETURN NULL;
END $$;

CREATE TRIGGER note_deadline_of_new AFTER INSERT ON payments_payment_intent FOR EACH ROW
    WHEN (NEW.status = 'INITIATED') EXECUTE FUNCTION payments_note_deadline();

CREATE TRIGGER note_deadline AFTER UPDATE OF status ON payments_payment_intent FOR EACH ROW
    WHEN (OLD.status IS DISTINCT FROM NEW.status AND
          NEW.status IN ('INITIATED', 'FAILED', 'REQUIRES_ACTION', 'AUTHORIZED'))
    EXECUTE FUNCTION payments_note_deadline();
