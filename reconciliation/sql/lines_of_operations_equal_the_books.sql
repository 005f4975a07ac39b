-- A settlement line of a charge or refund is matched to the operation of the same account and
-- currency that it names, in the direction of its kind. An authorization alone moves nothing. All
-- lines that name an operation, but for those that were given up, sum to its amount, or to zero if it
-- was reversed; or the line alone is the amount, and the others are smaller parts of nothing.
-- A line of several captures of a payment has a share for each, which sum to the line. Of no capture
-- more is settled than its amount, nor less than nothing. Of what the PSP converted, all this is about
-- the amounts and the currency before.
-- All lines of one UPDATE are checked together, at its end. The planner settings keep the plan of
-- empty tables, or of few lines, out of the plan cache.

CREATE OR REPLACE FUNCTION reconciliation_check_operations() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    differing record;
BEGIN
    SELECT l.id, l.paid_minor, l.paid_currency, l.operation_id INTO differing
      FROM updated l
     CROSS JOIN LATERAL (
           SELECT count(*) AS number, sum(s.amount_minor) AS minor
             FROM reconciliation_settlement_share s WHERE s.line_id = l.id) AS shares
      LEFT JOIN payments_operation o
        ON o.id = l.operation_id AND o.psp_account_id = l.psp_account_id
       AND o.currency = l.paid_currency
       AND sign(l.paid_minor) = CASE l.kind
               WHEN 'charge' THEN 1
               WHEN 'charge_failure' THEN -1
               WHEN 'partial_capture_reversal' THEN -1
               WHEN 'refund' THEN -1
               WHEN 'refund_failure' THEN 1
           END
       AND CASE WHEN l.kind IN ('refund', 'refund_failure') THEN o.kind = 'refund'
                ELSE o.kind = 'capture' OR (o.kind = 'authorize' AND o.capture_now) END
       AND CASE WHEN shares.number > 0 THEN shares.minor = l.paid_minor
                ELSE o.psp_id = l.psp_id AND (
                    SELECT CASE
                        WHEN o.status = 'REVERSED' THEN sum(x.paid_minor) = 0
                        WHEN o.status IN ('SUCCEEDED', 'EXCESS') THEN
                            sum(x.paid_minor) = whole.minor OR (
                            l.paid_minor = whole.minor AND bool_and(
                                x.id = l.id OR (x.paid_minor <> l.paid_minor
                                AND sign(x.paid_minor) = sign(l.paid_minor)))) END
                      FROM reconciliation_settlement_line x
                     CROSS JOIN (SELECT CASE o.kind WHEN 'refund' THEN -o.amount_minor
                                                    ELSE o.amount_minor END AS minor) AS whole
                     WHERE x.psp_account_id = l.psp_account_id AND x.psp_id = l.psp_id
                       AND x.paid_currency = l.paid_currency
                       AND x.status NOT IN ('dead', 'written_off')
                       AND CASE o.kind WHEN 'refund' THEN
                               (x.kind = 'refund' AND x.paid_minor < 0)
                               OR (x.kind = 'refund_failure' AND x.paid_minor > 0)
                           ELSE (x.kind = 'charge' AND x.paid_minor > 0)
                               OR (x.kind IN ('charge_failure', 'partial_capture_reversal')
                                   AND x.paid_minor < 0) END
                     GROUP BY whole.minor) END
       AND NOT EXISTS (
           SELECT FROM reconciliation_settlement_share s
             LEFT JOIN payments_operation c
               ON c.id = s.operation_id AND c.psp_account_id = l.psp_account_id
              AND c.currency = l.paid_currency AND c.intent_id = o.intent_id
              AND (c.kind = 'capture' OR (c.kind = 'authorize' AND c.capture_now))
            CROSS JOIN LATERAL (
                  SELECT coalesce(sum(other.amount_minor), 0) + coalesce((
                         SELECT sum(w.paid_minor) FROM reconciliation_settlement_line w
                          WHERE w.operation_id = s.operation_id AND w.status = 'matched'
                            AND NOT EXISTS (SELECT FROM reconciliation_settlement_share n
                                             WHERE n.line_id = w.id)), 0) AS minor
                    FROM reconciliation_settlement_share other
                   WHERE other.operation_id = s.operation_id) AS settled
            WHERE s.line_id = l.id
              AND (c.id IS NULL OR settled.minor NOT BETWEEN 0 AND c.amount_minor))
     WHERE l.status = 'matched' AND l.operation_id IS NOT NULL AND o.id IS NULL
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'line_differs_from_operation: line % says % %, of operation %',
            differing.id, differing.paid_minor, differing.paid_currency, differing.operation_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER line_is_its_operation AFTER UPDATE ON reconciliation_settlement_line
    REFERENCING NEW TABLE AS updated
    FOR EACH STATEMENT EXECUTE FUNCTION reconciliation_check_operations();
