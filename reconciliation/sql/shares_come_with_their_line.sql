-- A line's shares of captures are written by the database transaction that marks the line as matched:
-- not after it, and not without it. The functions are those of matches_come_with_their_line.sql.

CREATE TRIGGER late_share BEFORE INSERT ON reconciliation_settlement_share
    FOR EACH ROW EXECUTE FUNCTION reconciliation_refuse_late_match();

CREATE CONSTRAINT TRIGGER lone_share AFTER INSERT ON reconciliation_settlement_share
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    EXECUTE FUNCTION reconciliation_refuse_lone_match();
