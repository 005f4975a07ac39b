-- What an account switches off are rules that close cases (payments/services/cases/closing.py).

ALTER TABLE payments_psp_account DROP CONSTRAINT IF EXISTS psp_account_rules_off;
ALTER TABLE payments_psp_account ADD CONSTRAINT psp_account_rules_off
    CHECK (rules_off <@ ARRAY[{rules}]::varchar[]);
