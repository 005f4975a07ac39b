-- Leaves room in the pages of rows that change, for the version that the change makes. In the same
-- page PostgreSQL logs what differs, and elsewhere the whole row. An answer makes a key's row six
-- times as long; a notification keeps its body.

ALTER TABLE payments_operation SET (fillfactor = 70);
ALTER TABLE payments_payment_intent SET (fillfactor = 85);
ALTER TABLE payments_idempotency_key SET (fillfactor = 20);
ALTER TABLE payments_psp_notification SET (fillfactor = 60);
