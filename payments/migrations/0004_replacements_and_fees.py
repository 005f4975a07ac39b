"""Operations that replace one that never reached the PSP, and the platform fee of each operation."""

from django.db import migrations, models

from ledger.database.guards import permanent_columns, run_sql_file, state_machine
from payments import states

_FEES_OF_THE_BOOKS = """
    UPDATE payments_operation o SET platform_fee_minor = booked.minor
      FROM (SELECT t.source_id, max(e.amount_minor) AS minor
              FROM ledger_transaction t
              JOIN ledger_entry e ON e.transaction_id = t.id AND e.direction = 'D'
             WHERE t.rule = 'platform_fee' GROUP BY t.source_id) booked
     WHERE booked.source_id = o.id AND o.status <> 'EXCESS'"""


class Migration(migrations.Migration):
    dependencies = [("payments", "0003_held_counter"), ("ledger", "0002_guards")]

    operations = [
        migrations.AddField("operation", "replaces_id", models.UUIDField(blank=True, null=True)),
        migrations.AddField(
            "operation", "requested_at", models.DateTimeField(blank=True, null=True)
        ),
        migrations.AddConstraint(
            "operation",
            models.UniqueConstraint(
                condition=models.Q(("replaces_id__isnull", False)),
                fields=["replaces_id"],
                name="operation_replaced_once",
            ),
        ),
        migrations.AddField("operation", "platform_fee_minor", models.BigIntegerField(default=0)),
        migrations.RunSQL(_FEES_OF_THE_BOOKS, migrations.RunSQL.noop),
        migrations.RunSQL("SET CONSTRAINTS ALL IMMEDIATE", migrations.RunSQL.noop),
        state_machine(
            "payments_operation", states.OPERATION_TRANSITIONS, initial=states.OPERATION_INITIAL
        ),
        permanent_columns(
            "payments_operation",
            "id merchant_id livemode intent_id psp_account_id kind amount_minor currency psp_key "
            "token capture_now final charge_id order_id idempotency_id replaces_id requested_at "
            "created_at",
        ),
        permanent_columns(
            "payments_refund",
            "id merchant_id livemode intent_id charge_id amount_minor currency created_at",
        ),
        # For databases of before: a chargeback of a part leaves the rest refundable.
        run_sql_file("payments", "disputed_charges_are_not_refunded"),
        run_sql_file("payments", "replacements_equal_what_they_replace"),
    ]
