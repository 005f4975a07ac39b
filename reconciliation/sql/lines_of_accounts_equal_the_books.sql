-- A settlement line of the account as a whole has booked, when it is matched, just what it says: its
-- net on our balance with the PSP (1110), its gross on the account of its kind, and its fee as a fee
-- of the account (5600), all of the line's PSP account. It belongs to no payment.

CREATE FUNCTION reconciliation_check_account_line() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    differing int;
BEGIN
    WITH said (code, minor) AS (
        SELECT code, sum(minor) FROM (
            VALUES (1110, NEW.gross_minor - NEW.fee_minor),
                   (5600, NEW.fee_minor),
                   (CASE NEW.kind WHEN 'payout' THEN 1120 WHEN 'payout_reversal' THEN 1120
                                  WHEN 'risk_reserved_funds' THEN 1130 WHEN 'fee' THEN 5600 END,
                    -NEW.gross_minor)) AS part (code, minor)
         GROUP BY code HAVING sum(minor) <> 0
    ), booked (code, minor) AS (
        SELECT a.code, sum(CASE e.direction WHEN 'D' THEN e.amount_minor ELSE -e.amount_minor END)
          FROM ledger_transaction t
          JOIN ledger_entry e ON e.transaction_id = t.id
          JOIN ledger_account a ON a.id = e.account_id
         WHERE t.source_type = 'settlement_line'
           AND t.source_id = lpad(to_hex(NEW.id), 32, '0')::uuid
           AND t.payment_id IS NULL AND a.currency = NEW.currency
           AND a.dimension = (SELECT p.code FROM payments_psp_account p
                               WHERE p.id = NEW.psp_account_id)
         GROUP BY a.code
        HAVING sum(CASE e.direction WHEN 'D' THEN e.amount_minor ELSE -e.amount_minor END) <> 0
    )
    SELECT coalesce(s.code, b.code) INTO differing FROM said s FULL JOIN booked b ON b.code = s.code
     WHERE s.minor IS DISTINCT FROM b.minor LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'line_differs_from_books: line % (%) says % less %, differing in %',
            NEW.id, NEW.kind, NEW.gross_minor, NEW.fee_minor, differing
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER line_is_its_bookings BEFORE UPDATE OF status ON reconciliation_settlement_line
    FOR EACH ROW WHEN (NEW.status = 'matched' AND OLD.status <> 'matched'
                       AND NEW.operation_id IS NULL AND NEW.dispute_id IS NULL)
    EXECUTE FUNCTION reconciliation_check_account_line();
