"""Ledger transactions are found by the day that they count for, as statements by date need it."""

import django.contrib.postgres.indexes
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("ledger", "0002_guards")]

    operations = [
        migrations.AddIndex(
            model_name="ledgertransaction",
            index=django.contrib.postgres.indexes.BrinIndex(
                fields=["effective_date"], name="ledger_transaction_by_date", pages_per_range=32
            ),
        ),
    ]
