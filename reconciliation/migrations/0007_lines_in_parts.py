"""Several lines about one operation, and several captures in one line."""

import django.db.models.deletion
from django.db import migrations, models

import reconciliation.states
from ledger.database.guards import append_only, run_sql_file
from reconciliation.discrepancies import Discrepancy


class Migration(migrations.Migration):
    dependencies = [
        ("payments", "0002_guards"),
        ("reconciliation", "0006_scheduled_exports"),
    ]

    operations = [
        migrations.CreateModel(
            name="SettlementShare",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("amount_minor", models.BigIntegerField()),
                (
                    "line",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="shares",
                        to="reconciliation.settlementline",
                    ),
                ),
                (
                    "operation",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="payments.operation",
                    ),
                ),
            ],
            options={
                "db_table": "reconciliation_settlement_share",
                "constraints": [
                    models.UniqueConstraint(fields=("line", "operation"), name="share_once"),
                    models.CheckConstraint(
                        condition=models.Q(("amount_minor", 0), _negated=True),
                        name="share_is_not_empty",
                    ),
                ],
            },
        ),
        migrations.RemoveConstraint(
            model_name="settlementline", name="line_unmatched_has_its_discrepancy"
        ),
        migrations.AddConstraint(
            model_name="settlementline",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        (
                            "discrepancy__in",
                            [
                                "AMBIGUOUS",
                                "AMOUNT_MISMATCH",
                                "ATTEMPT_FAILED",
                                "CURRENCY_MISMATCH",
                                "DUPLICATE_AT_PSP",
                                "MALFORMED_LINE",
                                "MISSING_INTERNAL",
                                "PARTIAL_SETTLEMENT",
                                "PSP_UNANSWERED",
                                "STATUS_MISMATCH",
                                "TYPE_MISMATCH",
                                "UNKNOWN_LINE_TYPE",
                            ],
                        ),
                        (
                            "status__in",
                            [
                                reconciliation.states.LineStatus["FAILING"],
                                reconciliation.states.LineStatus["DEAD"],
                            ],
                        ),
                    ),
                    models.Q(
                        ("discrepancy", ""),
                        (
                            "status__in",
                            [
                                reconciliation.states.LineStatus["OPEN"],
                                reconciliation.states.LineStatus["MATCHED"],
                            ],
                        ),
                    ),
                    _connector="OR",
                ),
                name="line_unmatched_has_its_discrepancy",
            ),
        ),
        append_only("reconciliation_settlement_share"),
        run_sql_file("reconciliation", "shares_come_with_their_line"),
        run_sql_file("reconciliation", "lines_of_operations_equal_the_books"),
        run_sql_file("reconciliation", "lines_of_operations_book_by_component"),
        run_sql_file(
            "reconciliation",
            "discrepancies_of_cases_are_known",
            codes=", ".join(f"'{code}'" for code in Discrepancy.values),
        ),
    ]
