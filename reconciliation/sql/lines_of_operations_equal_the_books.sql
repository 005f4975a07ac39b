-- A settlement line of a charge or refund is matched to an operation of the same account and currency
-- that moved the line's amount, in the direction of its kind. An authorization alone moves nothing.
-- All lines of one UPDATE are checked together, at its end. The planner settings keep the plan of
-- empty tables, or of few lines, out of the plan cache.

CREATE OR REPLACE FUNCTION reconciliation_check_operations() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    differing record;
BEGIN
    SELECT l.id, l.gross_minor, l.currency, l.operation_id INTO differing
      FROM updated l
      LEFT JOIN payments_operation o
        ON o.id = l.operation_id AND o.psp_account_id = l.psp_account_id
       AND o.currency = l.currency
       AND CASE l.kind
               WHEN 'charge' THEN o.amount_minor = l.gross_minor
               WHEN 'charge_failure' THEN o.amount_minor = -l.gross_minor
               WHEN 'refund' THEN o.amount_minor = -l.gross_minor
               WHEN 'refund_failure' THEN o.amount_minor = l.gross_minor
               ELSE false
           END
       AND CASE WHEN l.kind IN ('charge', 'charge_failure')
                THEN o.kind = 'capture' OR (o.kind = 'authorize' AND o.capture_now)
                ELSE o.kind = 'refund' END
     WHERE l.status = 'matched' AND l.operation_id IS NOT NULL AND o.id IS NULL
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'line_differs_from_operation: line % says % %, of operation %',
            differing.id, differing.gross_minor, differing.currency, differing.operation_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER line_is_its_operation AFTER UPDATE ON reconciliation_settlement_line
    REFERENCING NEW TABLE AS updated
    FOR EACH STATEMENT EXECUTE FUNCTION reconciliation_check_operations();
