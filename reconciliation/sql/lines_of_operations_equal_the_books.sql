-- A settlement line of a charge or refund is matched to an operation of the same account and currency
-- that moved the line's amount, in the direction of its kind. An authorization alone moves nothing.
-- The line has booked its net on our balance with the PSP, to the minor unit, for that payment.

CREATE FUNCTION reconciliation_check_operation() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    payment uuid;
    booked bigint;
BEGIN
    SELECT o.intent_id INTO payment FROM payments_operation o
     WHERE o.id = NEW.operation_id AND o.psp_account_id = NEW.psp_account_id
       AND o.currency = NEW.currency
       AND CASE NEW.kind
               WHEN 'charge' THEN o.amount_minor = NEW.gross_minor
               WHEN 'charge_failure' THEN o.amount_minor = -NEW.gross_minor
               WHEN 'refund' THEN o.amount_minor = -NEW.gross_minor
               WHEN 'refund_failure' THEN o.amount_minor = NEW.gross_minor
               ELSE false
           END
       AND CASE WHEN NEW.kind IN ('charge', 'charge_failure')
                THEN o.kind = 'capture' OR (o.kind = 'authorize' AND o.capture_now)
                ELSE o.kind = 'refund' END;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'line_differs_from_operation: line % says % %, of operation %',
            NEW.id, NEW.gross_minor, NEW.currency, NEW.operation_id
            USING ERRCODE = 'check_violation';
    END IF;
    SELECT sum(CASE e.direction WHEN 'D' THEN e.amount_minor ELSE -e.amount_minor END)
      INTO booked
      FROM ledger_transaction t
      JOIN ledger_entry e ON e.transaction_id = t.id
      JOIN ledger_account a ON a.id = e.account_id
     WHERE t.source_type = 'settlement_line' AND t.source_id = lpad(to_hex(NEW.id), 32, '0')::uuid
       AND t.payment_id = payment AND a.code = 1110 AND a.currency = NEW.currency;
    IF booked IS DISTINCT FROM NEW.gross_minor - NEW.fee_minor THEN
        RAISE EXCEPTION 'line_differs_from_books: line % says %, it has booked %',
            NEW.id, NEW.gross_minor - NEW.fee_minor, booked USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER line_is_its_operation BEFORE UPDATE OF status ON reconciliation_settlement_line
    FOR EACH ROW WHEN (NEW.status = 'matched' AND OLD.status <> 'matched'
                       AND NEW.operation_id IS NOT NULL)
    EXECUTE FUNCTION reconciliation_check_operation();
