"""From which day on a merchant may have money, once the PSP has settled it."""

import django.db.models.deletion
from django.db import migrations, models

from ledger.database.guards import permanent_columns, run_sql_file


class Migration(migrations.Migration):
    dependencies = [("ledger", "0008_write_offs")]

    operations = [
        migrations.CreateModel(
            name="Availability",
            fields=[
                (
                    "transaction",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        serialize=False,
                        to="ledger.ledgertransaction",
                    ),
                ),
                ("merchant_id", models.UUIDField()),
                ("available_on", models.DateField()),
                ("is_stated", models.BooleanField()),
                ("written_on", models.DateField()),
            ],
            options={
                "verbose_name_plural": "availabilities",
                "db_table": "ledger_availability",
                "indexes": [
                    models.Index(
                        fields=["merchant_id", "available_on"], name="availability_of_merchant"
                    )
                ],
            },
        ),
        permanent_columns("ledger_availability", "transaction_id merchant_id"),
        run_sql_file("ledger", "availability_is_of_the_merchant"),
    ]
