-- A charge of a payment that was closed before may begin or cease to count: it succeeds late, is
-- reversed, becomes a duplicate. At the end of that transaction the charge that counts is the
-- payment's latest, the counters are what the books hold as the payment's own, and no charge is
-- booked in two roles. As payments.services.outcomes.payment_state and verification in Python. That
-- at most one charge counts is the index one_charge_per_intent. First results, which every payment
-- has, are not checked here, and so cost nothing.

CREATE FUNCTION payments_refuse_counters_of_other_charge() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    intent payments_payment_intent%ROWTYPE;
    wrong text;
BEGIN
    SELECT * INTO intent FROM payments_payment_intent WHERE id = NEW.intent_id;
    SELECT o.id INTO wrong FROM payments_operation o
     WHERE o.intent_id = NEW.intent_id AND o.kind = 'authorize' AND o.status = 'SUCCEEDED'
       AND o.id IS DISTINCT FROM intent.latest_charge_id;
    IF FOUND THEN
        RAISE EXCEPTION 'charge_counts_unnamed: % counts and is not the latest of payment %',
            wrong, intent.id USING ERRCODE = 'check_violation';
    END IF;
    WITH booked AS (
        SELECT c.id AS charge_id, c.status, a.code, e.currency, e.entry_type,
               e.entry_type = 'excess' AS is_apart,
               CASE e.direction WHEN 'D' THEN e.amount_minor ELSE -e.amount_minor END AS minor
          FROM ledger_transaction t
          JOIN ledger_entry e ON e.transaction_id = t.id
          JOIN ledger_account a ON a.id = e.account_id AND a.code IN (9100, 2100)
          JOIN payments_operation o ON o.id = t.source_id
          JOIN payments_operation c ON c.id = coalesce(o.charge_id, o.id)
         WHERE t.payment_id = NEW.intent_id
           AND e.entry_type IN ('auth', 'release', 'capture', 'refund', 'excess')
    ), counters AS (
        SELECT coalesce(sum(minor) FILTER (WHERE code = 9100 AND entry_type = 'auth'), 0)
                   AS authorized,
               coalesce(sum(minor) FILTER (WHERE code = 9100), 0) AS held,
               coalesce(-sum(minor) FILTER (WHERE code = 2100 AND entry_type = 'capture'), 0)
                   AS captured
          FROM booked WHERE NOT is_apart AND currency = intent.currency
    ), roles AS (
        SELECT charge_id, code FROM booked
         WHERE status = 'EXCESS' AND NOT is_apart OR status = 'SUCCEEDED' AND is_apart
         GROUP BY charge_id, code, entry_type HAVING sum(minor) <> 0
    )
    SELECT format('%s is booked in two roles on %s', charge_id, code) INTO wrong FROM roles
    UNION ALL
    SELECT format('authorized %s, held %s, captured %s by the books', authorized, held, captured)
      FROM counters
     WHERE (authorized, held, captured) IS DISTINCT FROM (intent.amount_authorized_minor,
           intent.amount_held_minor, intent.amount_captured_minor)
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'counters_of_other_charge: payment %: %', intent.id, wrong
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER counters_are_of_the_counting_charge AFTER UPDATE OF status
    ON payments_operation DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.kind = 'authorize' AND NEW.status <> OLD.status
          AND OLD.status IN ('SUCCEEDED', 'EXCESS', 'DECLINED', 'NOT_SENT', 'CANCELED', 'REVERSED'))
    EXECUTE FUNCTION payments_refuse_counters_of_other_charge();
