"""In which payout a line is, payouts beside the sums of their lines, and the code of a difference."""

import django.db.models.deletion
from django.db import migrations, models

from ledger.database.guards import permanent_columns, run_sql_file
from reconciliation.discrepancies import Discrepancy

_PAYOUT_ID = models.CharField(blank=True, db_default="", max_length=128)


class Migration(migrations.Migration):
    dependencies = [("reconciliation", "0004_line_variances")]

    operations = [
        migrations.AddField("settlementline", "psp_payout_id", _PAYOUT_ID),
        migrations.AddField("stagedline", "psp_payout_id", _PAYOUT_ID),
        migrations.AddIndex(
            "settlementline",
            models.Index(
                models.F("psp_account"),
                models.F("psp_payout_id"),
                condition=models.Q(("psp_payout_id", ""), _negated=True),
                name="line_in_payout",
            ),
        ),
        migrations.CreateModel(
            name="PayoutSum",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("psp_payout_id", models.CharField(max_length=128)),
                ("currency", models.CharField(max_length=3)),
                ("changed_at", models.DateTimeField()),
                ("judged_at", models.DateTimeField(blank=True, null=True)),
                ("line_count", models.PositiveIntegerField(blank=True, null=True)),
                ("lines_minor", models.BigIntegerField(blank=True, null=True)),
                ("paid_minor", models.BigIntegerField(blank=True, null=True)),
                (
                    "psp_account",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="payments.pspaccount",
                    ),
                ),
            ],
            options={
                "db_table": "reconciliation_payout_sum",
                "indexes": [
                    models.Index(
                        models.F("changed_at"),
                        condition=models.Q(("judged_at__isnull", True)),
                        name="payout_sum_due",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("psp_account", "psp_payout_id", "currency"),
                        name="payout_sum_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("judged_at__isnull", True),
                            models.Q(("line_count__isnull", False), ("lines_minor__isnull", False)),
                            _connector="OR",
                        ),
                        name="payout_sum_is_judged_by_its_lines",
                    ),
                ],
            },
        ),
        permanent_columns("reconciliation_payout_sum", "id psp_account_id psp_payout_id currency"),
        permanent_columns(
            "reconciliation_settlement_line",
            "id report_id psp_account_id number identity occurrence content_sha256 psp_type psp_id "
            "psp_payment_id reference currency gross_minor fee_minor markup_minor "
            "interchange_minor scheme_fee_minor occurred_at psp_payout_id stored_at",
        ),
        run_sql_file(
            "reconciliation",
            "discrepancies_of_cases_are_known",
            codes=", ".join(f"'{code}'" for code in Discrepancy.values),
        ),
    ]
