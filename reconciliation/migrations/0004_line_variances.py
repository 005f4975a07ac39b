"""Amounts of matched lines that are not the agreed ones, and their code."""

import django.db.models.deletion
from django.db import migrations, models

from ledger.database.guards import permanent_columns, run_sql_file
from reconciliation.discrepancies import Discrepancy


class Migration(migrations.Migration):
    dependencies = [("reconciliation", "0003_fee_components"), ("payments", "0003_agreed_fees")]

    operations = [
        migrations.CreateModel(
            name="LineVariance",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("discrepancy", models.CharField(max_length=32)),
                ("component", models.CharField(blank=True, max_length=16)),
                ("currency", models.CharField(max_length=3)),
                ("agreed_minor", models.BigIntegerField()),
                ("stated_minor", models.BigIntegerField()),
                ("found_at", models.DateTimeField()),
                ("told_at", models.DateTimeField(blank=True, null=True)),
                (
                    "line",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="variances",
                        to="reconciliation.settlementline",
                    ),
                ),
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
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="reconciliation.settlementreport",
                    ),
                ),
            ],
            options={
                "db_table": "reconciliation_line_variance",
                "indexes": [
                    models.Index(
                        models.F("report"),
                        condition=models.Q(("told_at__isnull", True)),
                        name="line_variance_untold",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("line", "discrepancy", "component"), name="line_variance_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("discrepancy__in", ["FEE_VARIANCE"]),
                            models.Q(("agreed_minor", models.F("stated_minor")), _negated=True),
                        ),
                        name="line_variance_is_a_difference",
                    ),
                ],
            },
        ),
        permanent_columns(
            "reconciliation_line_variance",
            "id line_id report_id psp_account_id discrepancy component currency agreed_minor "
            "stated_minor found_at",
        ),
        run_sql_file(
            "reconciliation",
            "discrepancies_of_cases_are_known",
            codes=", ".join(f"'{code}'" for code in Discrepancy.values),
        ),
    ]
