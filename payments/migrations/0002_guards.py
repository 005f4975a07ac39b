"""PostgreSQL's side of payments/states.py, and what may never change or vanish.

The tables of moves are written out here (a migration must not change when code does); a test holds
them equal to payments.states.
"""

from django.db import migrations

MACHINES = {
    "payments_payment_intent": (
        "INITIATED PROCESSING",
        "INITIATED>PROCESSING INITIATED>FAILED INITIATED>CANCELED "
        "PROCESSING>INITIATED PROCESSING>REQUIRES_ACTION PROCESSING>AUTHORIZED PROCESSING>CAPTURED "
        "PROCESSING>FAILED PROCESSING>CANCELED "
        "REQUIRES_ACTION>PROCESSING REQUIRES_ACTION>AUTHORIZED REQUIRES_ACTION>CAPTURED "
        "REQUIRES_ACTION>FAILED REQUIRES_ACTION>CANCELED "
        "FAILED>PROCESSING FAILED>CANCELED "
        "AUTHORIZED>PROCESSING AUTHORIZED>CAPTURED AUTHORIZED>PARTIALLY_REFUNDED "
        "AUTHORIZED>CANCELED "
        "CAPTURED>PARTIALLY_REFUNDED CAPTURED>REFUNDED CAPTURED>AUTHORIZED CAPTURED>FAILED "
        "PARTIALLY_REFUNDED>CAPTURED PARTIALLY_REFUNDED>REFUNDED PARTIALLY_REFUNDED>AUTHORIZED "
        "PARTIALLY_REFUNDED>FAILED "
        "REFUNDED>CAPTURED REFUNDED>PARTIALLY_REFUNDED REFUNDED>AUTHORIZED REFUNDED>FAILED "
        "CANCELED>AUTHORIZED CANCELED>CAPTURED",
    ),
    "payments_operation": (
        "SENDING",
        "SENDING>UNKNOWN SENDING>PENDING SENDING>REQUIRES_ACTION SENDING>SUCCEEDED "
        "SENDING>DECLINED SENDING>NOT_SENT "
        "UNKNOWN>PENDING UNKNOWN>REQUIRES_ACTION UNKNOWN>SUCCEEDED UNKNOWN>DECLINED "
        "UNKNOWN>NOT_SENT "
        "PENDING>SUCCEEDED PENDING>DECLINED PENDING>CANCELED "
        "REQUIRES_ACTION>PENDING REQUIRES_ACTION>SUCCEEDED REQUIRES_ACTION>DECLINED "
        "REQUIRES_ACTION>CANCELED "
        "SUCCEEDED>TAKEN_BACK "
        "CANCELED>SUCCEEDED",
    ),
    "payments_refund": (
        "pending",
        "pending>succeeded pending>failed pending>canceled succeeded>failed",
    ),
}

# Columns of a row that are what they were when it was written.
PERMANENT = {
    "payments_payment_intent": "id merchant_id livemode psp_account_id client_secret created_at",
    "payments_operation": (
        "id merchant_id livemode intent_id psp_account_id kind amount_minor currency psp_key token "
        "capture_now final charge_id order_id idempotency_id created_at"
    ),
    "payments_refund": (
        "id merchant_id livemode intent_id operation_id charge_id amount_minor currency created_at"
    ),
    "payments_idempotency_key": "id merchant_id livemode key fingerprint created_at",
}

FUNCTIONS = """
CREATE FUNCTION payments_check_status() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NOT NEW.status = ANY (string_to_array(TG_ARGV[0], ' ')) THEN
            RAISE EXCEPTION 'illegal_status: a row of % is not born %', TG_TABLE_NAME, NEW.status
                USING ERRCODE = 'check_violation';
        END IF;
    ELSIF NOT (OLD.status || '>' || NEW.status) = ANY (string_to_array(TG_ARGV[1], ' ')) THEN
        RAISE EXCEPTION 'illegal_status: % may not go from % to %',
            TG_TABLE_NAME, OLD.status, NEW.status USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION payments_refuse_permanent() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'permanent_column: % of a row of % may not change', TG_ARGV[0], TG_TABLE_NAME
        USING ERRCODE = 'check_violation';
END $$;

CREATE FUNCTION payments_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'append_only: rows of % are never changed or deleted', TG_TABLE_NAME
        USING ERRCODE = 'check_violation';
END $$;

CREATE FUNCTION payments_refuse_second_answer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'answer_is_final: the answer of an idempotency key may not change'
        USING ERRCODE = 'check_violation';
END $$;

CREATE FUNCTION payments_keep_open_key() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM payments_operation o WHERE o.id = OLD.operation_id AND o.status IN
               ('SENDING', 'UNKNOWN', 'PENDING', 'REQUIRES_ACTION')) THEN
        RAISE EXCEPTION 'key_in_use: an operation of idempotency key % is still open', OLD.id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN OLD;
END $$;

CREATE TRIGGER event_append_only BEFORE UPDATE OR DELETE ON payments_event
    FOR EACH ROW EXECUTE FUNCTION payments_refuse_change();

CREATE TRIGGER idempotency_answer_final BEFORE UPDATE ON payments_idempotency_key
    FOR EACH ROW WHEN (OLD.answer_status IS NOT NULL AND (OLD.answer_status, OLD.answer_body)
                       IS DISTINCT FROM (NEW.answer_status, NEW.answer_body))
    EXECUTE FUNCTION payments_refuse_second_answer();

CREATE TRIGGER idempotency_keep_open BEFORE DELETE ON payments_idempotency_key
    FOR EACH ROW EXECUTE FUNCTION payments_keep_open_key();
"""

DROP = """
DROP FUNCTION payments_check_status() CASCADE;
DROP FUNCTION payments_refuse_permanent() CASCADE;
DROP FUNCTION payments_refuse_change() CASCADE;
DROP FUNCTION payments_refuse_second_answer() CASCADE;
DROP FUNCTION payments_keep_open_key() CASCADE;
"""


def _machine(table: str, born: str, moves: str) -> str:
    call = f"EXECUTE FUNCTION payments_check_status('{born}', '{moves}')"
    return (
        f"CREATE TRIGGER legal_birth BEFORE INSERT ON {table} FOR EACH ROW {call};\n"
        f"CREATE TRIGGER legal_move BEFORE UPDATE OF status ON {table} FOR EACH ROW "
        f"WHEN (OLD.status IS DISTINCT FROM NEW.status) {call};\n"
    )


def _permanent(table: str, columns: str) -> str:
    old = ", ".join(f"OLD.{column}" for column in columns.split())
    new = ", ".join(f"NEW.{column}" for column in columns.split())
    return (
        f"CREATE TRIGGER permanent_columns BEFORE UPDATE ON {table} FOR EACH ROW "
        f"WHEN (({old}) IS DISTINCT FROM ({new})) "
        f"EXECUTE FUNCTION payments_refuse_permanent('{columns}');\n"
    )


class Migration(migrations.Migration):
    dependencies = [("payments", "0001_initial")]

    operations = [
        migrations.RunSQL(FUNCTIONS, DROP),
        *(
            migrations.RunSQL(_machine(table, born, moves), migrations.RunSQL.noop)
            for table, (born, moves) in MACHINES.items()
        ),
        *(
            migrations.RunSQL(_permanent(table, columns), migrations.RunSQL.noop)
            for table, columns in PERMANENT.items()
        ),
    ]
