-- From which day on a merchant may have money is written for a ledger transaction that changed what we
-- owe this merchant (2100), and for no other. All rows of one INSERT are checked together.

CREATE FUNCTION ledger_check_availability() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    odd uuid;
BEGIN
    SELECT a.transaction_id INTO odd
      FROM added a
      LEFT JOIN ledger_transaction t ON t.id = a.transaction_id
     WHERE t.merchant_id IS DISTINCT FROM a.merchant_id
        OR NOT EXISTS (
           SELECT FROM ledger_entry e
             JOIN ledger_account c ON c.id = e.account_id
            WHERE e.transaction_id = a.transaction_id AND c.code = 2100)
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'availability_of_nothing_owed: ledger transaction %', odd
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER availability_is_of_the_merchant AFTER INSERT ON ledger_availability
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_check_availability();
