"""How often settlement lines looked something up at each PSP account."""

import django.db.models.deletion
from django.db import migrations, models

from ledger.database.guards import permanent_columns


class Migration(migrations.Migration):
    dependencies = [
        ("payments", "0006_look_ups"),
        ("reconciliation", "0004_stated_balances"),
    ]

    operations = [
        migrations.CreateModel(
            name="LookUpBudget",
            fields=[
                (
                    "psp_account",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        serialize=False,
                        to="payments.pspaccount",
                    ),
                ),
                ("minute", models.DateTimeField()),
                ("used", models.PositiveIntegerField()),
                ("given_until", models.DateTimeField()),
            ],
            options={
                "db_table": "reconciliation_look_up_budget",
            },
        ),
        permanent_columns("reconciliation_look_up_budget", "psp_account_id"),
    ]
