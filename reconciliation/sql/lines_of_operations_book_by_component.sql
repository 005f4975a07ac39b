-- A settlement line of a charge or refund has booked, when it is matched, just what it says: its net on
-- our balance with the PSP (1110), its gross on the account of its kind, and each component of its fee
-- on an account of its own (5100, 5110, 5120), all of the line's PSP account and of its payment. What
-- the PSP converted is on the account of its kind in the currency of the payment, against 1900 there
-- and in the line's currency.
-- All lines of one UPDATE are checked together, at its end. The planner settings keep the plan of
-- empty tables, or of few lines, out of the plan cache.

CREATE OR REPLACE FUNCTION reconciliation_check_operation_bookings() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    differing record;
BEGIN
    SELECT l.id, l.kind, l.gross_minor, l.fee_minor, wrong.code INTO differing
      FROM updated l
      JOIN payments_operation o ON o.id = l.operation_id
     CROSS JOIN LATERAL (
           SELECT part.code
             FROM (
                   SELECT a.code, a.currency, CASE e.direction WHEN 'D' THEN e.amount_minor
                                                               ELSE -e.amount_minor END
                     FROM ledger_transaction t
                     JOIN ledger_entry e ON e.transaction_id = t.id
                     JOIN ledger_account a ON a.id = e.account_id
                    WHERE t.source_type = 'settlement_line'
                      AND t.source_id = lpad(to_hex(l.id), 32, '0')::uuid
                      AND t.payment_id = o.intent_id
                      AND a.dimension = (SELECT p.code FROM payments_psp_account p
                                          WHERE p.id = l.psp_account_id)
                    UNION ALL
                   SELECT said.code, said.currency, -said.minor
                     FROM (VALUES (1110, l.currency, l.gross_minor - l.fee_minor),
                                  (1900, l.currency, CASE WHEN l.paid_currency = l.currency THEN 0
                                                          ELSE -l.gross_minor END),
                                  (1900, l.paid_currency, CASE WHEN l.paid_currency = l.currency
                                                               THEN 0 ELSE l.paid_minor END),
                                  (CASE WHEN l.kind IN ('refund', 'refund_failure') THEN 2200
                                        ELSE 1100 END, l.paid_currency, -l.paid_minor),
                                  (5100, l.currency, l.markup_minor),
                                  (5110, l.currency, l.interchange_minor),
                                  (5120, l.currency, l.scheme_fee_minor))
                       AS said (code, currency, minor)
                  ) AS part (code, currency, minor)
            GROUP BY part.code, part.currency HAVING sum(part.minor) <> 0
            LIMIT 1) AS wrong
     WHERE l.status = 'matched'
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'line_differs_from_books: line % (%) says % less %, differing in %',
            differing.id, differing.kind, differing.gross_minor, differing.fee_minor,
            differing.code USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER line_is_its_parts AFTER UPDATE ON reconciliation_settlement_line
    REFERENCING NEW TABLE AS updated
    FOR EACH STATEMENT EXECUTE FUNCTION reconciliation_check_operation_bookings();
