-- A settlement line of a dispute is matched only to ledger transactions of the dispute, and they
-- change what the PSP holds for us by the line's net, to the minor unit.

CREATE FUNCTION reconciliation_check_match() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    booked bigint;
BEGIN
    SELECT sum(CASE e.direction WHEN 'D' THEN e.amount_minor ELSE -e.amount_minor END)
      INTO booked
      FROM reconciliation_settlement_match m
      JOIN ledger_transaction t ON t.id = m.transaction_id
      JOIN ledger_entry e ON e.transaction_id = t.id
      JOIN ledger_account a ON a.id = e.account_id
     WHERE m.line_id = NEW.id AND t.source_type = 'dispute' AND t.source_id = NEW.dispute_id
       AND a.code = 1110 AND a.currency = NEW.currency;
    IF booked IS DISTINCT FROM NEW.gross_minor - NEW.fee_minor
       OR EXISTS (
           SELECT FROM reconciliation_settlement_match m
             LEFT JOIN ledger_transaction t ON t.id = m.transaction_id
            WHERE m.line_id = NEW.id
              AND (t.source_id IS DISTINCT FROM NEW.dispute_id OR t.source_type <> 'dispute')) THEN
        RAISE EXCEPTION 'line_differs_from_books: line % says %, its transactions %',
            NEW.id, NEW.gross_minor - NEW.fee_minor, booked USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER line_is_its_match BEFORE UPDATE OF status ON reconciliation_settlement_line
    FOR EACH ROW WHEN (NEW.status = 'matched' AND OLD.status <> 'matched'
                       AND NEW.dispute_id IS NOT NULL)
    EXECUTE FUNCTION reconciliation_check_match();
