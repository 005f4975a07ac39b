-- Lines that failed before there were codes: their text says which one it is. The next attempt of a
-- line finds it out again.

UPDATE reconciliation_settlement_line
   SET discrepancy = CASE
           WHEN kind = 'unknown' THEN 'UNKNOWN_LINE_TYPE'
           WHEN last_error LIKE '%has reported the same money already' THEN 'DUPLICATE_AT_PSP'
           WHEN last_error LIKE '%the report says%' THEN 'AMOUNT_MISMATCH'
           WHEN last_error LIKE 'a line of the kind%' THEN 'MALFORMED_LINE'
           WHEN last_error LIKE 'the provider could not be asked%' THEN 'PSP_UNANSWERED'
           WHEN last_error LIKE 'it concerns no%' THEN 'MISSING_INTERNAL'
           ELSE 'STATUS_MISMATCH'
       END
 WHERE status IN ('failing', 'dead');
