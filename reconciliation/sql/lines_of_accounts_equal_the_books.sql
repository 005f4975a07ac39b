-- A settlement line of the account as a whole has booked, when it is matched, just what it says: its
-- net on our balance with the PSP (1110), its gross on the account of its kind, and its fee as a fee
-- of the account (5600), all of the line's PSP account. It belongs to no payment.
-- All lines of one UPDATE are checked together, at its end. The planner settings keep the plan of
-- empty tables, or of few lines, out of the plan cache. That a booking belongs to no payment is no
-- condition of the join: the index on payments would find the bookings of all lines of accounts.

CREATE FUNCTION reconciliation_check_account_lines() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    differing record;
BEGIN
    SELECT l.id, l.kind, l.gross_minor, l.fee_minor, wrong.code INTO differing
      FROM updated l
     CROSS JOIN LATERAL (
           SELECT part.code
             FROM (
                   SELECT a.code, CASE WHEN t.payment_id IS NOT NULL THEN 0
                                       WHEN e.direction = 'D' THEN e.amount_minor
                                       ELSE -e.amount_minor END
                     FROM ledger_transaction t
                     JOIN ledger_entry e ON e.transaction_id = t.id
                     JOIN ledger_account a ON a.id = e.account_id
                    WHERE t.source_type = 'settlement_line'
                      AND t.source_id = lpad(to_hex(l.id), 32, '0')::uuid
                      AND a.currency = l.currency
                      AND a.dimension = (SELECT p.code FROM payments_psp_account p
                                          WHERE p.id = l.psp_account_id)
                    UNION ALL
                   SELECT said.code, -said.minor
                     FROM (VALUES (1110, l.gross_minor - l.fee_minor),
                                  (5600, l.fee_minor),
                                  (CASE l.kind WHEN 'payout' THEN 1120
                                               WHEN 'payout_reversal' THEN 1120
                                               WHEN 'risk_reserved_funds' THEN 1130
                                               WHEN 'fee' THEN 5600 END,
                                   -l.gross_minor)) AS said (code, minor)
                  ) AS part (code, minor)
            GROUP BY part.code HAVING sum(part.minor) <> 0
            LIMIT 1) AS wrong
     WHERE l.status = 'matched' AND l.operation_id IS NULL AND l.dispute_id IS NULL
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'line_differs_from_books: line % (%) says % less %, differing in %',
            differing.id, differing.kind, differing.gross_minor, differing.fee_minor,
            differing.code USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER line_is_its_bookings AFTER UPDATE ON reconciliation_settlement_line
    REFERENCING NEW TABLE AS updated
    FOR EACH STATEMENT EXECUTE FUNCTION reconciliation_check_account_lines();
