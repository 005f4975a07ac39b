"""Which files of the watched folders were taken in."""

import django.db.models.deletion
from django.db import migrations, models

from ledger.database.guards import permanent_columns


class Migration(migrations.Migration):
    dependencies = [
        ("payments", "0004_settlement_calendars"),
        ("reconciliation", "0006_files_in_parts"),
    ]

    operations = [
        migrations.CreateModel(
            name="WatchedFile",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=128)),
                ("size_bytes", models.BigIntegerField()),
                ("modified_ns", models.BigIntegerField()),
                ("failing_since", models.DateTimeField(blank=True, null=True)),
                ("next_attempt_at", models.DateTimeField(blank=True, null=True)),
                ("last_error", models.CharField(blank=True, max_length=500)),
                ("found_at", models.DateTimeField()),
                (
                    "psp_account",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="payments.pspaccount",
                    ),
                ),
                (
                    "report",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="reconciliation.settlementreport",
                    ),
                ),
            ],
            options={
                "db_table": "reconciliation_watched_file",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("psp_account", "name"), name="watched_file_once"
                    )
                ],
            },
        ),
        permanent_columns("reconciliation_watched_file", "id psp_account_id name found_at"),
    ]
