-- A case names a code of the closed list of reconciliation (reconciliation/discrepancies.py), or none.

ALTER TABLE payments_case DROP CONSTRAINT IF EXISTS case_discrepancy_is_known;
ALTER TABLE payments_case ADD CONSTRAINT case_discrepancy_is_known
    CHECK (discrepancy IN ('', {codes}));
