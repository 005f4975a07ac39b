-- A settlement line is written off only by what a second person approves, in the transaction that
-- carries it out, together with the posting that takes its net out of suspense (1990).

CREATE FUNCTION reconciliation_check_write_off() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM payments_approval a
          JOIN ledger_transaction t ON t.source_type = 'case' AND t.xid = pg_current_xact_id()
          JOIN ledger_entry e ON e.transaction_id = t.id AND e.currency = NEW.currency
           AND e.amount_minor = abs(NEW.gross_minor - NEW.fee_minor)
           AND e.direction = CASE WHEN NEW.gross_minor > NEW.fee_minor THEN 'D' ELSE 'C' END
          JOIN ledger_account n ON n.id = e.account_id AND n.code = 1990
           AND n.dimension = (SELECT p.code FROM payments_psp_account p
                               WHERE p.id = NEW.psp_account_id)
         WHERE a.command = 'write_off' AND a.status = 'approved'
           AND a.content::jsonb -> 'parameters' ->> 'line' = NEW.id::text) THEN
        RAISE EXCEPTION 'lines_are_written_off_by_two: no approved posting writes line % off', NEW.id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER written_off_by_two BEFORE UPDATE OF status ON reconciliation_settlement_line
    FOR EACH ROW WHEN (NEW.status = 'written_off' AND OLD.status <> 'written_off')
    EXECUTE FUNCTION reconciliation_check_write_off();
