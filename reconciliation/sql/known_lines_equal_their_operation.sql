-- A settlement line is known by an operation of the same account and currency that moved the line's
-- amount, in the direction of its kind. An authorization alone moves nothing.

CREATE FUNCTION reconciliation_check_operation() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM payments_operation o
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
                    ELSE o.kind = 'refund' END) THEN
        RAISE EXCEPTION 'line_differs_from_operation: line % says % %, of operation %',
            NEW.id, NEW.gross_minor, NEW.currency, NEW.operation_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER line_is_its_operation BEFORE UPDATE OF status ON reconciliation_settlement_line
    FOR EACH ROW WHEN (NEW.status = 'known' AND OLD.status <> 'known')
    EXECUTE FUNCTION reconciliation_check_operation();
