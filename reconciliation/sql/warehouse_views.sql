-- Views for warehouses, in a schema of their own: their columns stay, whatever becomes of the tables.
-- They hold no personal data, no secrets and no texts that customers write.
--
-- `cursor` is the id of the database transaction that wrote a row last, so it rises with each change.
-- Only rows below `complete_before` are shown: below it no transaction is under way, in the very
-- snapshot that the statement reads. So a reader who asks for `cursor > the greatest so far` misses
-- nothing, whatever commits late.

CREATE SCHEMA warehouse;
REVOKE ALL ON SCHEMA warehouse FROM PUBLIC;

-- The public form of an id, as payments/public_ids.py makes it: 22 digits of base 62, letters first.
CREATE FUNCTION warehouse.public_id(prefix text, id uuid) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    alphabet CONSTANT text := 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
    hex text := replace(id::text, '-', '');
    rest numeric := ('x' || left(hex, 8))::bit(32)::bigint;
    part bigint;
    digits text := '';
BEGIN
    FOR at IN 1..3 LOOP
        rest := rest * 4294967296 + ('x' || substr(hex, at * 8 + 1, 8))::bit(32)::bigint;
    END LOOP;
    -- Ten digits at once are a bigint.
    FOR places IN 1..3 LOOP
        part := mod(rest, 839299365868340224);
        rest := div(rest, 839299365868340224);
        FOR place IN 1..(CASE places WHEN 3 THEN 2 ELSE 10 END) LOOP
            digits := substr(alphabet, (part % 62)::int + 1, 1) || digits;
            part := part / 62;
        END LOOP;
    END LOOP;
    RETURN prefix || '_' || digits;
END $$;

-- The smallest id of a row that was made at that moment or later: `uuid` columns of append-only
-- views are found by it, from the index of their key.
CREATE FUNCTION warehouse.first_id_since(moment timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT (lpad(to_hex(floor(extract(epoch FROM moment) * 1000)::bigint), 12, '0')
            || repeat('0', 20))::uuid
$$;

-- The id, of 64 bits, of the transaction that wrote a row, from the 32 bits of its xmin. `next` is
-- the first one that the snapshot does not know. Of a row that was not written for 4 billion
-- transactions the result is too high once: it is read once more.
CREATE FUNCTION warehouse.writer(row_xmin xid, next bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT next - ((next - row_xmin::text::bigint) & 4294967295)
$$;

-- One row: below `complete_before` every transaction has ended, as this statement sees it.
CREATE VIEW warehouse.horizon AS
    SELECT pg_snapshot_xmin(seen)::text::bigint AS complete_before,
           pg_snapshot_xmax(seen)::text::bigint AS next
      FROM pg_current_snapshot() AS seen;

CREATE VIEW warehouse.events AS
    SELECT warehouse.writer(e.xmin, p.next) AS cursor, e.id AS event_uuid,
           warehouse.public_id('evt', e.id) AS event, e.created_at, e.type,
           warehouse.public_id('acct', e.merchant_id) AS merchant, e.livemode,
           e.aggregatetype AS about, e.aggregateid AS about_uuid,
           CASE e.aggregatetype WHEN 'payment_intent'
                THEN warehouse.public_id('pi', e.aggregateid) END AS payment,
           e.seq AS number, nullif(e.request_id, '') AS request
      FROM payments_event e
     CROSS JOIN warehouse.horizon p
     WHERE warehouse.writer(e.xmin, p.next) < p.complete_before;

CREATE VIEW warehouse.payments AS
    SELECT warehouse.writer(i.xmin, p.next) AS cursor, i.id AS payment_uuid,
           warehouse.public_id('pi', i.id) AS payment, i.created_at, i.updated_at,
           warehouse.public_id('acct', i.merchant_id) AS merchant, i.livemode,
           nullif(i.order_id, '') AS order_id, i.status, i.capture_method, i.currency,
           i.amount_minor, i.amount_authorized_minor, i.amount_held_minor,
           i.amount_captured_minor, i.amount_refunded_minor, i.amount_refund_pending_minor,
           i.amount_disputed_minor, i.amount_excess_minor, a.code AS psp_account,
           nullif(i.psp_reference, '') AS psp_reference,
           warehouse.public_id('ch', i.latest_charge_id) AS charge,
           warehouse.public_id('cus', i.customer_id) AS customer,
           i.last_payment_error ->> 'code' AS last_error, i.canceled_at,
           nullif(i.cancellation_reason, '') AS cancellation_reason
      FROM payments_payment_intent i
      JOIN payments_psp_account a ON a.id = i.psp_account_id
     CROSS JOIN warehouse.horizon p
     WHERE warehouse.writer(i.xmin, p.next) < p.complete_before;

CREATE VIEW warehouse.refunds AS
    SELECT warehouse.writer(r.xmin, p.next) AS cursor, r.id AS refund_uuid,
           warehouse.public_id('re', r.id) AS refund, r.created_at, r.updated_at,
           r.intent_id AS payment_uuid, warehouse.public_id('pi', r.intent_id) AS payment,
           warehouse.public_id('ch', r.charge_id) AS charge,
           warehouse.public_id('acct', r.merchant_id) AS merchant, r.livemode, r.currency,
           r.amount_minor, r.status, nullif(r.reason, '') AS reason,
           nullif(r.failure_reason, '') AS failure_reason
      FROM payments_refund r
     CROSS JOIN warehouse.horizon p
     WHERE warehouse.writer(r.xmin, p.next) < p.complete_before;

CREATE VIEW warehouse.disputes AS
    SELECT warehouse.writer(d.xmin, p.next) AS cursor, d.id AS dispute_uuid,
           warehouse.public_id('dp', d.id) AS dispute, d.created_at, d.updated_at, d.opened_at,
           d.closed_at, d.intent_id AS payment_uuid,
           warehouse.public_id('pi', d.intent_id) AS payment,
           warehouse.public_id('ch', d.charge_id) AS charge,
           warehouse.public_id('acct', d.merchant_id) AS merchant, d.livemode, d.currency,
           d.amount_minor, d.fee_minor, d.fee_returned_minor, d.status, d.reason,
           nullif(d.network_reason_code, '') AS network_reason_code, d.loss_policy AS borne_by,
           a.code AS psp_account, d.psp_dispute_id AS psp_dispute, d.evidence_due_by,
           d.submitted_at
      FROM payments_dispute d
      JOIN payments_psp_account a ON a.id = d.psp_account_id
     CROSS JOIN warehouse.horizon p
     WHERE warehouse.writer(d.xmin, p.next) < p.complete_before;

CREATE VIEW warehouse.settlement_lines AS
    SELECT warehouse.writer(l.xmin, p.next) AS cursor, l.id AS line, a.code AS psp_account,
           a.livemode, r.name AS report, l.number AS line_of_report, l.kind, l.psp_type,
           l.psp_id AS psp_reference, l.psp_payment_id AS psp_payment,
           CASE WHEN o.kind = 'authorize' THEN warehouse.public_id('ch', o.id)
                ELSE warehouse.public_id('op', o.id) END AS operation,
           warehouse.public_id('pi', o.intent_id) AS payment,
           warehouse.public_id('dp', l.dispute_id) AS dispute,
           nullif(l.psp_payout_id, '') AS payout, l.currency, l.gross_minor,
           l.fee_minor, l.markup_minor, l.interchange_minor, l.scheme_fee_minor, l.occurred_at,
           l.stored_at, l.status, nullif(l.discrepancy, '') AS discrepancy,
           l.accounted_at AS matched_at
      FROM reconciliation_settlement_line l
      JOIN reconciliation_settlement_report r ON r.id = l.report_id
      JOIN payments_psp_account a ON a.id = l.psp_account_id
      LEFT JOIN payments_operation o ON o.id = l.operation_id
     CROSS JOIN warehouse.horizon p
     WHERE warehouse.writer(l.xmin, p.next) < p.complete_before;

CREATE VIEW warehouse.payouts AS
    SELECT greatest(warehouse.writer(l.xmin, p.next), warehouse.writer(b.xmin, p.next)) AS cursor,
           l.id AS line, l.psp_id AS payout, l.kind, a.code AS psp_account, a.livemode,
           r.name AS report, l.occurred_at AS paid_at, l.currency, -l.gross_minor AS amount_minor,
           l.fee_minor, l.status, c.number AS bank_account, s.reference AS bank_statement,
           b.number AS bank_line, b.booked_on, b.amount_minor AS bank_amount_minor
      FROM reconciliation_settlement_line l
      JOIN reconciliation_settlement_report r ON r.id = l.report_id
      JOIN payments_psp_account a ON a.id = l.psp_account_id
      LEFT JOIN reconciliation_bank_line b ON b.payout_id = l.id
      LEFT JOIN reconciliation_bank_statement s ON s.id = b.statement_id
      LEFT JOIN reconciliation_bank_account c ON c.id = b.bank_account_id
     CROSS JOIN warehouse.horizon p
     WHERE l.kind IN ('payout', 'payout_reversal')
       AND greatest(warehouse.writer(l.xmin, p.next), warehouse.writer(b.xmin, p.next))
           < p.complete_before;
