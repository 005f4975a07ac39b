"""Voids that end an open challenge to make room for another charge."""

from django.db import migrations, models

from ledger.database.guards import permanent_columns


class Migration(migrations.Migration):
    dependencies = [("payments", "0012_default_payment_method")]

    operations = [
        migrations.AddField(
            "operation", "ends_challenge", models.BooleanField(default=False, db_default=False)
        ),
        migrations.RunSQL("SET CONSTRAINTS ALL IMMEDIATE", migrations.RunSQL.noop),
        migrations.AddConstraint(
            "operation",
            models.CheckConstraint(
                condition=models.Q(ends_challenge=False)
                | models.Q(kind="void", charge_id__isnull=False, replaces_id__isnull=True),
                name="operation_ends_challenge_by_void",
            ),
        ),
        permanent_columns(
            "payments_operation",
            "id merchant_id livemode intent_id psp_account_id kind amount_minor currency psp_key "
            "token capture_now final ends_challenge charge_id order_id idempotency_id replaces_id "
            "requested_at created_at",
        ),
    ]
