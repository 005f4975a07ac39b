"""What PSPs say that they hold for us, beside our books."""

import django.db.models.deletion
from django.db import migrations, models

from ledger.database.guards import permanent_columns


class Migration(migrations.Migration):
    dependencies = [
        ("payments", "0002_guards"),
        ("reconciliation", "0003_lines_checked_together"),
    ]

    operations = [
        migrations.CreateModel(
            name="StatedBalance",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("currency", models.CharField(max_length=3)),
                ("stated_minor", models.BigIntegerField()),
                ("stated_at", models.DateTimeField()),
                ("books_minor", models.BigIntegerField(blank=True, null=True)),
                ("judged_at", models.DateTimeField(blank=True, null=True)),
                (
                    "psp_account",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="payments.pspaccount",
                    ),
                ),
            ],
            options={
                "db_table": "reconciliation_stated_balance",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("psp_account", "currency", "stated_at"), name="stated_balance_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("books_minor__isnull", True), ("judged_at__isnull", True)),
                            models.Q(
                                ("books_minor__isnull", False),
                                ("judged_at__gt", models.F("stated_at")),
                            ),
                            _connector="OR",
                        ),
                        name="stated_balance_is_judged_later",
                    ),
                ],
            },
        ),
        permanent_columns(
            "reconciliation_stated_balance",
            "id psp_account_id currency stated_minor stated_at",
        ),
    ]
