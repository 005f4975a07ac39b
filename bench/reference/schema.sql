-- The least that a correct payment needs: what is unique, and what is looked up by key.
CREATE TABLE idempotency_key (
    id uuid PRIMARY KEY,
    merchant_id uuid NOT NULL,
    key text NOT NULL,
    fingerprint text NOT NULL,
    created_at timestamptz NOT NULL,
    answer_status smallint,
    answer_body text,
    UNIQUE (merchant_id, key)
);
CREATE TABLE intent (
    id uuid PRIMARY KEY,
    merchant_id uuid NOT NULL,
    order_id text NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    currency text NOT NULL,
    status text NOT NULL,
    amount_captured_minor bigint NOT NULL DEFAULT 0 CHECK (amount_captured_minor <= amount_minor),
    psp_reference text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE TABLE attempt (
    id uuid PRIMARY KEY,
    intent_id uuid NOT NULL,
    amount_minor bigint NOT NULL,
    status text NOT NULL,
    psp_key text NOT NULL UNIQUE,
    psp_id text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL,
    closed_at timestamptz
);
CREATE INDEX attempt_intent ON attempt (intent_id);
CREATE TABLE ledger_transaction (
    id uuid PRIMARY KEY,
    intent_id uuid NOT NULL,
    rule text NOT NULL,
    posted_at timestamptz NOT NULL
);
CREATE TABLE ledger_entry (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    transaction_id uuid NOT NULL,
    account text NOT NULL,
    direction text NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    currency text NOT NULL
);
CREATE INDEX ledger_entry_transaction ON ledger_entry (transaction_id);
CREATE INDEX ledger_entry_account ON ledger_entry (account, id);
CREATE TABLE outbox (
    id uuid PRIMARY KEY,
    aggregatetype text NOT NULL,
    aggregateid uuid NOT NULL,
    type text NOT NULL,
    payload jsonb NOT NULL
);
