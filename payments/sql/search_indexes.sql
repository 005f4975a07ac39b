-- Indexes that searches are led by and that no model can say: on parts of metadata, cards and texts.

-- Without a pending list, whose merge would delay one payment in thousands.
CREATE INDEX intent_metadata ON payments_payment_intent USING gin (
    payments_metadata_terms(merchant_id, livemode, metadata) jsonb_path_ops
) WITH (fastupdate = off);

CREATE INDEX customer_metadata ON payments_customer USING gin (
    payments_metadata_terms(merchant_id, livemode, metadata) jsonb_path_ops
) WITH (fastupdate = off);

-- A short pending list: a customer costs few writes, and none waits long for its merge.
CREATE INDEX customer_texts ON payments_customer USING gin (
    payments_text_parts(merchant_id, livemode, name),
    payments_text_parts(merchant_id, livemode, email),
    payments_text_parts(merchant_id, livemode, phone)
) WITH (fastupdate = on, gin_pending_list_limit = 256);

CREATE INDEX charge_closed_last4 ON payments_operation (
    merchant_id, livemode, (payment_method_details -> 'card' ->> 'last4')
) WHERE kind = 'authorize' AND next_check_at IS NULL;
