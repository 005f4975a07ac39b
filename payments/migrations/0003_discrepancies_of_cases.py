"""A case of reconciliation names what was found, and keeps it."""

from django.db import migrations, models

from ledger.database.guards import permanent_columns


class Migration(migrations.Migration):
    dependencies = [("payments", "0002_guards")]

    operations = [
        migrations.AddField(
            model_name="case",
            name="discrepancy",
            field=models.CharField(blank=True, db_default="", default="", max_length=32),
        ),
        permanent_columns(
            "payments_case",
            "id merchant_id livemode psp_account_id kind subject intent_id operation_id "
            "amount_minor currency summary discrepancy opened_at",
        ),
    ]
