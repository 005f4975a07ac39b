"""The day from which on the money of a settlement line is available."""

from django.db import migrations, models

from ledger.database.guards import permanent_columns


class Migration(migrations.Migration):
    dependencies = [("reconciliation", "0012_write_offs")]

    operations = [
        migrations.AddField(
            "settlementline", "available_on", models.DateField(blank=True, null=True)
        ),
        migrations.AddField("stagedline", "available_on", models.DateField(null=True)),
        migrations.AddIndex(
            "stagedline",
            models.Index("report", condition=models.Q(kind="payout"), name="staged_payout"),
        ),
        permanent_columns(
            "reconciliation_settlement_line",
            "id report_id psp_account_id number identity occurrence content_sha256 psp_type psp_id "
            "psp_payment_id reference currency gross_minor fee_minor markup_minor "
            "interchange_minor scheme_fee_minor occurred_at psp_payout_id converted_from_minor "
            "converted_from_currency exchange_rate available_on stored_at",
        ),
    ]
