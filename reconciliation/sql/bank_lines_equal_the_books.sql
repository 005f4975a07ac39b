-- A line of a bank statement is matched only to a payout that a settlement report has shown, of a PSP
-- account that pays out to this bank account, of the same amount and currency, and named in the text
-- of the line by a reference of the payout. It has then booked its amount between our bank (1200) and
-- payouts in transit (1120), and nothing else. A line that is given up has its amount in suspense
-- (1990).

CREATE FUNCTION reconciliation_names(text, text) RETURNS boolean LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT length(key.letters) >= 5
       AND translate($1, 'abcdefghijklmnopqrstuvwxyz', 'ABCDEFGHIJKLMNOPQRSTUVWXYZ')
           ~ ('(^|[^A-Z0-9])' || regexp_replace(key.letters, '(.)(?=.)', '\1[^A-Z0-9]*', 'g')
              || '($|[^A-Z0-9])')
      FROM (SELECT regexp_replace(
                translate($2, 'abcdefghijklmnopqrstuvwxyz', 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'),
                '[^A-Z0-9]', '', 'g') AS letters) AS key
$$;

CREATE FUNCTION reconciliation_check_bank_line() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    bank record;
    payer text;
    differing int;
BEGIN
    SELECT b.number, b.currency, b.psp_accounts INTO bank
      FROM reconciliation_bank_account b WHERE b.id = NEW.bank_account_id;
    IF NEW.status = 'matched' THEN
        SELECT p.code INTO payer
          FROM reconciliation_settlement_line l
          JOIN payments_psp_account p ON p.id = l.psp_account_id
         WHERE l.id = NEW.payout_id AND l.kind IN ('payout', 'payout_reversal')
           AND l.status = 'matched' AND l.gross_minor = -NEW.amount_minor
           AND l.currency = NEW.currency AND p.code = ANY (bank.psp_accounts)
           AND NEW.named_by IN (l.psp_id, l.identity, l.reference, split_part(l.psp_id, ' ', 1))
           AND reconciliation_names(NEW.text, NEW.named_by);
        IF NOT FOUND THEN
            RAISE EXCEPTION 'bank_line_differs_from_payout: bank line % of % %, payout %',
                NEW.id, NEW.amount_minor, NEW.currency, NEW.payout_id
                USING ERRCODE = 'check_violation';
        END IF;
    END IF;
    WITH said (code, dimension, minor) AS (
        VALUES (1200, bank.number, NEW.amount_minor),
               (CASE NEW.status WHEN 'matched' THEN 1120 ELSE 1990 END,
                CASE NEW.status WHEN 'matched' THEN payer ELSE bank.number END, -NEW.amount_minor)
    ), booked (code, dimension, minor) AS (
        SELECT a.code, a.dimension,
               sum(CASE e.direction WHEN 'D' THEN e.amount_minor ELSE -e.amount_minor END)
          FROM ledger_transaction t
          JOIN ledger_entry e ON e.transaction_id = t.id
          JOIN ledger_account a ON a.id = e.account_id
         WHERE t.source_type = 'bank_line'
           AND t.source_id = lpad(to_hex(NEW.id), 32, '0')::uuid
           AND t.payment_id IS NULL AND a.currency = NEW.currency
         GROUP BY a.code, a.dimension
        HAVING sum(CASE e.direction WHEN 'D' THEN e.amount_minor ELSE -e.amount_minor END) <> 0
    )
    SELECT coalesce(s.code, b.code) INTO differing
      FROM said s FULL JOIN booked b ON b.code = s.code AND b.dimension = s.dimension
     WHERE s.minor IS DISTINCT FROM b.minor LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'bank_line_differs_from_books: bank line % says % %, differing in %',
            NEW.id, NEW.amount_minor, NEW.currency, differing USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER bank_line_is_its_booking BEFORE UPDATE OF status ON reconciliation_bank_line
    FOR EACH ROW WHEN (NEW.status IN ('matched', 'dead') AND OLD.status <> NEW.status)
    EXECUTE FUNCTION reconciliation_check_bank_line();
