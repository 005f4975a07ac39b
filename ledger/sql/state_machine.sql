-- A template for one table of any app. A row starts in an initial status, and its status changes only by a
-- move that the state machine has.
-- The moves come from the tables of states.py, as 'from>to', separated by spaces
-- (ledger/database/guards.py).

CREATE OR REPLACE FUNCTION check_status() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NOT NEW.status = ANY (string_to_array(TG_ARGV[0], ' ')) THEN
            RAISE EXCEPTION 'illegal_status: a row of % must not begin as %', TG_TABLE_NAME, NEW.status
                USING ERRCODE = 'check_violation';
        END IF;
    ELSIF NOT (OLD.status || '>' || NEW.status) = ANY (string_to_array(TG_ARGV[1], ' ')) THEN
        RAISE EXCEPTION 'illegal_status: % may not go from % to %',
            TG_TABLE_NAME, OLD.status, NEW.status USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE TRIGGER legal_initial_status BEFORE INSERT ON {table}
    FOR EACH ROW EXECUTE FUNCTION check_status('{initial}', '{moves}');

CREATE OR REPLACE TRIGGER legal_transition BEFORE UPDATE OF status ON {table}
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION check_status('{initial}', '{moves}');
