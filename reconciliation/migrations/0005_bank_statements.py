"""Bank accounts, bank statements and their lines, and what PostgreSQL refuses in them."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models

import payments.public_ids
import reconciliation.states
from ledger.database.guards import append_only, permanent_columns, run_sql_file, state_machine
from reconciliation import states


class Migration(migrations.Migration):
    dependencies = [
        ("ledger", "0003_bank_accounts"),
        ("payments", "0002_guards"),
        ("reconciliation", "0004_missing_settlements"),
    ]

    operations = [
        migrations.CreateModel(
            name="BankAccount",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=payments.public_ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("number", models.CharField(max_length=34, unique=True)),
                ("currency", models.CharField(max_length=3)),
                ("livemode", models.BooleanField()),
                (
                    "psp_accounts",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=64), size=None
                    ),
                ),
                ("payouts_since", models.DateField()),
                ("added_at", models.DateTimeField()),
            ],
            options={
                "db_table": "reconciliation_bank_account",
            },
        ),
        migrations.CreateModel(
            name="BankLine",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.PositiveIntegerField()),
                ("identity", models.CharField(max_length=64)),
                ("occurrence", models.PositiveIntegerField()),
                ("currency", models.CharField(max_length=3)),
                ("amount_minor", models.BigIntegerField()),
                ("booked_on", models.DateField()),
                ("value_on", models.DateField()),
                ("bank_reference", models.CharField(blank=True, max_length=128)),
                ("end_to_end_id", models.CharField(blank=True, max_length=128)),
                ("text", models.CharField(blank=True, max_length=2000)),
                (
                    "status",
                    models.CharField(
                        default=reconciliation.states.LineStatus["OPEN"], max_length=16
                    ),
                ),
                ("attempts", models.PositiveIntegerField(default=0)),
                ("next_attempt_at", models.DateTimeField(blank=True, null=True)),
                ("retrying_since", models.DateTimeField()),
                ("given_up_at", models.DateTimeField(blank=True, null=True)),
                ("discrepancy", models.CharField(blank=True, max_length=32)),
                ("last_error", models.CharField(blank=True, max_length=500)),
                ("named_by", models.CharField(blank=True, max_length=128)),
                ("matched_at", models.DateTimeField(blank=True, null=True)),
                ("stored_at", models.DateTimeField()),
            ],
            options={
                "db_table": "reconciliation_bank_line",
            },
        ),
        migrations.CreateModel(
            name="BankStatement",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=payments.public_ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("reference", models.CharField(max_length=64)),
                ("number", models.PositiveIntegerField(blank=True, null=True)),
                ("opened_on", models.DateField()),
                ("closed_on", models.DateField()),
                ("opening_minor", models.BigIntegerField()),
                ("closing_minor", models.BigIntegerField()),
                (
                    "identities",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=64), size=None
                    ),
                ),
                ("content_sha256", models.CharField(max_length=64)),
                ("stored_at", models.DateTimeField()),
            ],
            options={
                "db_table": "reconciliation_bank_statement",
            },
        ),
        migrations.CreateModel(
            name="BankStatementFile",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=payments.public_ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("name", models.CharField(max_length=128)),
                ("format", models.CharField(max_length=16)),
                ("body_sha256", models.CharField(max_length=64, unique=True)),
                ("body", models.BinaryField()),
                ("imported_by", models.CharField(max_length=64)),
                ("received_at", models.DateTimeField()),
            ],
            options={
                "db_table": "reconciliation_bank_statement_file",
            },
        ),
        migrations.AddIndex(
            model_name="settlementline",
            index=models.Index(
                condition=models.Q(("kind__in", ["payout", "payout_reversal"])),
                fields=["psp_account", "occurred_at"],
                name="line_of_payout",
            ),
        ),
        migrations.AddField(
            model_name="bankline",
            name="bank_account",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                to="reconciliation.bankaccount",
            ),
        ),
        migrations.AddField(
            model_name="bankline",
            name="payout",
            field=models.OneToOneField(
                blank=True,
                db_constraint=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="bank_line",
                to="reconciliation.settlementline",
            ),
        ),
        migrations.AddField(
            model_name="bankstatement",
            name="bank_account",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                to="reconciliation.bankaccount",
            ),
        ),
        migrations.AddField(
            model_name="bankline",
            name="statement",
            field=models.ForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="lines",
                to="reconciliation.bankstatement",
            ),
        ),
        migrations.AddField(
            model_name="bankstatement",
            name="file",
            field=models.ForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="statements",
                to="reconciliation.bankstatementfile",
            ),
        ),
        migrations.AddIndex(
            model_name="bankline",
            index=models.Index(
                models.F("next_attempt_at"),
                condition=models.Q(("next_attempt_at__isnull", False)),
                name="bank_line_due",
            ),
        ),
        migrations.AddIndex(
            model_name="bankline",
            index=models.Index(
                models.F("id"),
                condition=models.Q(("status", reconciliation.states.LineStatus["DEAD"])),
                name="bank_line_dead",
            ),
        ),
        migrations.AddConstraint(
            model_name="bankline",
            constraint=models.UniqueConstraint(
                fields=("bank_account", "identity", "occurrence"), name="bank_line_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="bankline",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("matched_at__isnull", True),
                        ("next_attempt_at__isnull", False),
                        ("payout__isnull", True),
                        (
                            "status__in",
                            [
                                reconciliation.states.LineStatus["OPEN"],
                                reconciliation.states.LineStatus["FAILING"],
                            ],
                        ),
                    ),
                    models.Q(
                        ("given_up_at__isnull", False),
                        ("matched_at__isnull", True),
                        ("next_attempt_at__isnull", True),
                        ("payout__isnull", True),
                        ("status", reconciliation.states.LineStatus["DEAD"]),
                    ),
                    models.Q(
                        models.Q(("named_by", ""), _negated=True),
                        ("matched_at__isnull", False),
                        ("next_attempt_at__isnull", True),
                        ("payout__isnull", False),
                        ("status", reconciliation.states.LineStatus["MATCHED"]),
                    ),
                    _connector="OR",
                ),
                name="bank_line_waits_or_is_done",
            ),
        ),
        migrations.AddConstraint(
            model_name="bankline",
            constraint=models.CheckConstraint(
                condition=models.Q(("amount_minor", 0), _negated=True), name="bank_line_moves_money"
            ),
        ),
        migrations.AddIndex(
            model_name="bankstatement",
            index=models.Index(fields=["bank_account", "closed_on"], name="bank_statement_by_day"),
        ),
        migrations.AddConstraint(
            model_name="bankstatement",
            constraint=models.UniqueConstraint(
                fields=("bank_account", "content_sha256"), name="bank_statement_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="bankline",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "discrepancy__in",
                        [
                            "",
                            "AMBIGUOUS",
                            "ATTEMPT_FAILED",
                            "BANK_AMOUNT_MISMATCH",
                            "BANK_UNIDENTIFIED",
                        ],
                    )
                ),
                name="bank_line_discrepancy_is_known",
            ),
        ),
        state_machine(
            "reconciliation_bank_line", states.LINE_TRANSITIONS, initial=states.LINE_INITIAL
        ),
        permanent_columns("reconciliation_bank_account", "id number currency livemode added_at"),
        permanent_columns(
            "reconciliation_bank_line",
            "id statement_id bank_account_id number identity occurrence currency amount_minor "
            "booked_on value_on bank_reference end_to_end_id text stored_at",
        ),
        append_only("reconciliation_bank_statement_file"),
        append_only("reconciliation_bank_statement"),
        run_sql_file("reconciliation", "bank_lines_equal_the_books"),
    ]
