-- Of the views for warehouses (warehouse_views.sql), that of the books. `value_date` is the day of what
-- an entry is about, where that day was closed already.
CREATE OR REPLACE VIEW warehouse.ledger_entries AS
    SELECT e.xid::text::bigint AS cursor, e.id AS entry,
           e.transaction_id AS transaction_uuid, warehouse.public_id('txn', t.id) AS transaction,
           t.effective_date, t.posted_at, t.available_on, t.rule, e.entry_type, t.source_type,
           warehouse.public_id('txn', t.reverses_id) AS reverses,
           warehouse.public_id('pi', t.payment_id) AS payment,
           warehouse.public_id('acct', t.merchant_id) AS merchant,
           nullif(t.psp_account, '') AS psp_account,
           a.code AS account, a.kind AS account_kind, a.dimension AS account_of, e.currency,
           e.direction, e.amount_minor, t.value_date
      FROM ledger_entry e
      JOIN ledger_transaction t ON t.id = e.transaction_id
      JOIN ledger_account a ON a.id = e.account_id
     CROSS JOIN warehouse.horizon p
     WHERE e.xid::text::bigint < p.complete_before;
