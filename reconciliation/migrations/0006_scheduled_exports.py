"""Which day or month of which export has its file."""

from django.db import migrations, models

from ledger.database.guards import permanent_columns


class Migration(migrations.Migration):
    dependencies = [("reconciliation", "0005_payout_sums")]

    operations = [
        migrations.CreateModel(
            name="ScheduledExport",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("export", models.CharField(max_length=32)),
                ("first_day", models.DateField()),
                ("last_day", models.DateField()),
                ("planned_at", models.DateTimeField()),
                ("next_attempt_at", models.DateTimeField(blank=True, null=True)),
                ("attempts", models.PositiveIntegerField(default=0)),
                ("failing_since", models.DateTimeField(blank=True, null=True)),
                ("last_error", models.CharField(blank=True, max_length=500)),
                ("written_at", models.DateTimeField(blank=True, null=True)),
                ("file", models.CharField(blank=True, max_length=200)),
                ("row_count", models.BigIntegerField(blank=True, null=True)),
                ("file_sha256", models.CharField(blank=True, max_length=64)),
            ],
            options={
                "db_table": "reconciliation_scheduled_export",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("export", "first_day", "last_day"), name="scheduled_export_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            file="",
                            file_sha256="",
                            next_attempt_at__isnull=False,
                            row_count__isnull=True,
                            written_at__isnull=True,
                        )
                        | (
                            models.Q(
                                written_at__isnull=False,
                                next_attempt_at__isnull=True,
                                row_count__isnull=False,
                            )
                            & ~models.Q(file="")
                            & ~models.Q(file_sha256="")
                        ),
                        name="scheduled_export_waits_or_is_written",
                    ),
                ],
                "indexes": [
                    models.Index(
                        "next_attempt_at",
                        name="scheduled_export_due",
                        condition=models.Q(next_attempt_at__isnull=False),
                    )
                ],
            },
        ),
        permanent_columns(
            "reconciliation_scheduled_export", "id export first_day last_day planned_at"
        ),
    ]
