-- The primary key of entries begins with their ledger transaction: its index finds the entries of one,
-- and no second index is written. Entries of a payment are found by its ledger transactions. The key
-- may stay when entries are partitioned by time.

ALTER TABLE ledger_entry
    DROP CONSTRAINT ledger_entry_pkey,
    ADD CONSTRAINT ledger_entry_pkey PRIMARY KEY (transaction_id, id);
