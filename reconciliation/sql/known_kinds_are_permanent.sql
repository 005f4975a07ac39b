-- The kind of a settlement line may be learned while it is 'unknown' and the line is not accounted
-- for; a known kind stays. The function is that of ledger/sql/permanent_columns.sql.

CREATE TRIGGER permanent_kind BEFORE UPDATE OF kind ON reconciliation_settlement_line FOR EACH ROW
    WHEN (OLD.kind IS DISTINCT FROM NEW.kind
          AND (OLD.kind <> 'unknown' OR OLD.status = 'matched'))
    EXECUTE FUNCTION refuse_permanent('kind');
