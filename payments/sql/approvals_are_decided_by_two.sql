-- A request for approval holds what was asked for, and its SHA-256. It is approved before it expires, by
-- another person than the one who asked, whose role may approve as much. What was decided stays, and
-- what was approved is carried out in the same transaction or not at all. As payments.services.approvals
-- does in Python; superusers of the console are not exempt.

ALTER TABLE payments_approval ADD CONSTRAINT approval_digest
    CHECK (digest = encode(sha256(convert_to(content, 'UTF8')), 'hex'));
ALTER TABLE payments_approval ADD CONSTRAINT approval_is_of_its_content
    CHECK ((command, subject, livemode, requester, amount_minor, nullif(currency, ''))
           IS NOT DISTINCT FROM
           (content::jsonb ->> 'command', content::jsonb ->> 'subject',
            (content::jsonb ->> 'livemode')::boolean, content::jsonb ->> 'requester',
            (content::jsonb ->> 'amount_minor')::bigint, content::jsonb ->> 'currency'));

CREATE FUNCTION payments_refuse_approver() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM auth_user u WHERE NEW.approver = 'staff:' || u.username
                      AND u.is_active AND u.is_staff) THEN
        RAISE EXCEPTION 'approver_may_not: % is no active staff user', NEW.approver
            USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.status = 'rejected' THEN
        RETURN NEW;
    END IF;
    IF now() >= NEW.expires_at THEN
        RAISE EXCEPTION 'approval_expired: % was to be decided by %', NEW.id, NEW.expires_at
            USING ERRCODE = 'check_violation';
    END IF;
    IF NOT EXISTS (
        SELECT FROM payments_approval_limit l
          JOIN auth_user_groups g ON g.group_id = l.group_id
          JOIN auth_user u ON u.id = g.user_id
         WHERE NEW.approver = 'staff:' || u.username
           AND l.command = NEW.command AND l.currency = NEW.currency
           AND (l.merchant_id IS NULL OR l.merchant_id = NEW.merchant_id)
           AND (l.psp_account_id IS NULL OR l.psp_account_id = NEW.psp_account_id)
           AND (l.amount_max_minor IS NULL OR NEW.amount_minor <= l.amount_max_minor)) THEN
        RAISE EXCEPTION 'approver_may_not: % may not approve % of %',
            NEW.approver, NEW.command, NEW.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;

-- The one who asked is refused by approver_is_not_the_requester.
CREATE TRIGGER approver_may BEFORE UPDATE OF status ON payments_approval FOR EACH ROW
    WHEN (NEW.status IN ('approved', 'rejected') AND NEW.status <> OLD.status
          AND NEW.approver <> NEW.requester)
    EXECUTE FUNCTION payments_refuse_approver();

CREATE FUNCTION payments_refuse_other_decision() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'decision_is_final: % was decided by %, or is over', OLD.id, OLD.approver
        USING ERRCODE = 'check_violation';
END $$;

CREATE TRIGGER decision_is_final BEFORE UPDATE ON payments_approval FOR EACH ROW
    WHEN (OLD.approver <> '' AND (OLD.approver, OLD.decision_reason, OLD.decided_at)
              IS DISTINCT FROM (NEW.approver, NEW.decision_reason, NEW.decided_at)
          OR OLD.ended_at IS NOT NULL
             AND (OLD.ended_at, OLD.ended_by, OLD.result, OLD.replaced_by_id)
                 IS DISTINCT FROM (NEW.ended_at, NEW.ended_by, NEW.result, NEW.replaced_by_id))
    EXECUTE FUNCTION payments_refuse_other_decision();

CREATE FUNCTION payments_refuse_approved_and_not_done() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM payments_approval a WHERE a.id = NEW.id AND a.status = 'approved') THEN
        RAISE EXCEPTION 'approved_and_not_done: what % asks for was not carried out', NEW.id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER approved_is_done AFTER UPDATE OF status ON payments_approval
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.status = 'approved')
    EXECUTE FUNCTION payments_refuse_approved_and_not_done();
