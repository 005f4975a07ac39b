"""A payment method may have tokens at several PSP accounts."""

from django.db import migrations, models

from ledger.database.guards import run_sql_file


class Migration(migrations.Migration):
    dependencies = [
        ("payments", "0011_charges_that_count"),
    ]

    operations = [
        migrations.AddField(
            model_name="paymentmethod",
            name="alternatives",
            field=models.JSONField(
                blank=True, db_default=models.Value({}, models.JSONField()), default=dict
            ),
        ),
        run_sql_file("payments", "alternatives_are_tokens"),
    ]
