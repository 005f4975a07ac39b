"""The tables of reconciliation, their constraints and indexes. 0002_guards adds the triggers."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models

import ledger.fields
import payments.public_ids
import reconciliation.states


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("ledger", "0001_initial"),
        ("payments", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="SettlementReport",
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
                (
                    "psp_account",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="payments.pspaccount",
                    ),
                ),
                ("name", models.CharField(max_length=128)),
                ("closed_at", models.DateTimeField(blank=True, null=True)),
                ("imported_by", models.CharField(max_length=64)),
                ("body_sha256", models.CharField(max_length=64)),
                ("body_bytes", models.BigIntegerField()),
                ("lines_announced", models.PositiveIntegerField(blank=True, null=True)),
                ("received_at", models.DateTimeField()),
                (
                    "status",
                    models.CharField(
                        default=reconciliation.states.ReportStatus["RECEIVING"], max_length=16
                    ),
                ),
                ("lines_read", models.PositiveIntegerField(default=0)),
                ("reading_progress", models.JSONField(blank=True, null=True)),
                ("whole_at", models.DateTimeField(blank=True, null=True)),
                ("lines_taken", models.PositiveIntegerField(default=0)),
                ("lines_new", models.PositiveIntegerField(default=0)),
                ("read_at", models.DateTimeField(blank=True, null=True)),
                ("attempts", models.PositiveIntegerField(default=0)),
                ("failing_since", models.DateTimeField(blank=True, null=True)),
                ("next_attempt_at", models.DateTimeField(blank=True, null=True)),
                ("last_error", models.CharField(blank=True, max_length=500)),
            ],
            options={
                "db_table": "reconciliation_settlement_report",
                "permissions": [("import_settlementreport", "Can import settlement report")],
                "indexes": [
                    models.Index(
                        models.F("next_attempt_at"),
                        condition=models.Q(("next_attempt_at__isnull", False)),
                        name="report_due",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("psp_account", "name", "body_sha256"), name="report_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("lines_taken", models.F("lines_read")),
                                ("next_attempt_at__isnull", True),
                                ("read_at__isnull", False),
                                ("status", reconciliation.states.ReportStatus["READ"]),
                                ("whole_at__isnull", False),
                            ),
                            models.Q(
                                ("next_attempt_at__isnull", True),
                                ("read_at__isnull", True),
                                ("status", reconciliation.states.ReportStatus["RECEIVING"]),
                                ("whole_at__isnull", True),
                            ),
                            models.Q(
                                ("next_attempt_at__isnull", False),
                                ("read_at__isnull", True),
                                ("status", reconciliation.states.ReportStatus["STORED"]),
                            ),
                            models.Q(
                                ("next_attempt_at__isnull", True),
                                ("read_at__isnull", True),
                                ("status", reconciliation.states.ReportStatus["UNREADABLE"]),
                                ("whole_at__isnull", True),
                            ),
                            _connector="OR",
                        ),
                        name="report_waits_or_is_done",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("whole_at__isnull", False), ("lines_taken", 0), _connector="OR"
                        ),
                        name="report_counts_once_whole",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ReportChunk",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "report",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="chunks",
                        to="reconciliation.settlementreport",
                    ),
                ),
                ("number", models.PositiveIntegerField()),
                ("body", models.BinaryField()),
            ],
            options={
                "db_table": "reconciliation_report_chunk",
                "constraints": [
                    models.UniqueConstraint(fields=("report", "number"), name="chunk_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="StagedLine",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "report",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="reconciliation.settlementreport",
                    ),
                ),
                ("number", models.PositiveIntegerField()),
                ("identity", models.CharField(max_length=128)),
                ("content_sha256", models.CharField(max_length=64)),
                ("kind", models.CharField(max_length=24)),
                ("psp_type", models.CharField(max_length=64)),
                ("psp_id", models.CharField(max_length=128)),
                ("psp_payment_id", models.CharField(max_length=128)),
                ("reference", models.CharField(max_length=128)),
                ("currency", models.CharField(max_length=3)),
                ("gross_minor", models.BigIntegerField()),
                ("fee_minor", models.BigIntegerField()),
                ("occurred_at", models.DateTimeField()),
            ],
            options={
                "db_table": "reconciliation_staged_line",
                "indexes": [
                    models.Index(
                        models.F("report"),
                        models.F("content_sha256"),
                        models.F("number"),
                        condition=models.Q(("identity", "")),
                        name="staged_without_id",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("report", "number"), name="staged_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="ReportFetch",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
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
                ("name", models.CharField(blank=True, max_length=128)),
                ("closed_at", models.DateTimeField(blank=True, null=True)),
                ("lines_announced", models.PositiveIntegerField(blank=True, null=True)),
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
                ("attempts", models.PositiveIntegerField(default=0)),
                ("failing_since", models.DateTimeField(blank=True, null=True)),
                ("next_attempt_at", models.DateTimeField(blank=True, null=True)),
                ("last_error", models.CharField(blank=True, max_length=500)),
                ("added_at", models.DateTimeField()),
            ],
            options={
                "verbose_name_plural": "report fetches",
                "db_table": "reconciliation_report_fetch",
                "indexes": [
                    models.Index(
                        models.F("next_attempt_at"),
                        condition=models.Q(("next_attempt_at__isnull", False)),
                        name="fetch_due",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("psp_account", "name"), name="fetch_once"),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("name", ""), _negated=True),
                            ("next_attempt_at__isnull", False),
                            _connector="OR",
                        ),
                        name="fetch_list_recurs",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="SettlementLine",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "report",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="lines",
                        to="reconciliation.settlementreport",
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
                ("number", models.PositiveIntegerField()),
                ("identity", models.CharField(max_length=128)),
                ("occurrence", models.PositiveIntegerField(default=1)),
                ("content_sha256", models.CharField(max_length=64)),
                ("kind", models.CharField(max_length=24)),
                ("psp_type", models.CharField(max_length=64)),
                ("psp_id", models.CharField(blank=True, max_length=128)),
                ("psp_payment_id", models.CharField(blank=True, max_length=128)),
                ("reference", models.CharField(blank=True, max_length=128)),
                ("currency", models.CharField(max_length=3)),
                ("gross_minor", models.BigIntegerField()),
                ("fee_minor", models.BigIntegerField()),
                ("occurred_at", models.DateTimeField()),
                (
                    "status",
                    models.CharField(
                        default=reconciliation.states.LineStatus["OPEN"], max_length=16
                    ),
                ),
                ("attempts", models.PositiveIntegerField(default=0)),
                ("next_attempt_at", models.DateTimeField(blank=True, null=True)),
                ("retrying_since", models.DateTimeField()),
                ("last_error", models.CharField(blank=True, max_length=500)),
                (
                    "discrepancy",
                    models.CharField(blank=True, db_default="", default="", max_length=32),
                ),
                (
                    "dispute",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="payments.dispute",
                    ),
                ),
                (
                    "operation",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="payments.operation",
                    ),
                ),
                ("accounted_at", models.DateTimeField(blank=True, null=True)),
                ("stored_at", models.DateTimeField()),
            ],
            options={
                "db_table": "reconciliation_settlement_line",
                "indexes": [
                    models.Index(
                        models.F("next_attempt_at"),
                        condition=models.Q(("next_attempt_at__isnull", False)),
                        name="line_due",
                    ),
                    models.Index(
                        models.F("next_attempt_at"),
                        condition=models.Q(
                            ("kind__in", ["dispute", "dispute_fee", "dispute_reversal"]),
                            ("next_attempt_at__isnull", False),
                        ),
                        name="line_of_dispute_due",
                    ),
                    models.Index(
                        models.F("id"),
                        condition=models.Q(("status", reconciliation.states.LineStatus["DEAD"])),
                        name="line_dead",
                    ),
                    models.Index(
                        models.F("discrepancy"),
                        condition=models.Q(("discrepancy", ""), _negated=True),
                        name="line_discrepancy",
                    ),
                    models.Index(fields=["psp_account", "psp_id"], name="line_of_act"),
                    models.Index(
                        condition=models.Q(("kind__in", ["payout", "payout_reversal"])),
                        fields=["psp_account", "occurred_at"],
                        name="line_of_payout",
                    ),
                    models.Index(
                        models.F("psp_account"),
                        models.F("psp_payment_id"),
                        condition=models.Q(("psp_payment_id", ""), _negated=True),
                        name="line_of_payment",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("psp_account", "identity", "occurrence"), name="line_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("accounted_at__isnull", True),
                                ("next_attempt_at__isnull", False),
                                (
                                    "status__in",
                                    [
                                        reconciliation.states.LineStatus["OPEN"],
                                        reconciliation.states.LineStatus["FAILING"],
                                    ],
                                ),
                            ),
                            models.Q(
                                ("accounted_at__isnull", True),
                                ("next_attempt_at__isnull", True),
                                ("status", reconciliation.states.LineStatus["DEAD"]),
                            ),
                            models.Q(
                                ("accounted_at__isnull", False),
                                ("next_attempt_at__isnull", True),
                                ("status", reconciliation.states.LineStatus["MATCHED"]),
                            ),
                            _connector="OR",
                        ),
                        name="line_waits_or_is_done",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("dispute__isnull", False),
                                ("operation__isnull", True),
                                ("status", reconciliation.states.LineStatus["MATCHED"]),
                            ),
                            models.Q(
                                ("dispute__isnull", True),
                                ("operation__isnull", False),
                                ("status", reconciliation.states.LineStatus["MATCHED"]),
                            ),
                            models.Q(
                                models.Q(
                                    (
                                        "kind__in",
                                        ["fee", "payout", "payout_reversal", "risk_reserved_funds"],
                                    )
                                ),
                                ("dispute__isnull", True),
                                ("operation__isnull", True),
                            ),
                            models.Q(
                                ("dispute__isnull", True),
                                ("operation__isnull", True),
                                (
                                    "status__in",
                                    [
                                        reconciliation.states.LineStatus["OPEN"],
                                        reconciliation.states.LineStatus["FAILING"],
                                        reconciliation.states.LineStatus["DEAD"],
                                    ],
                                ),
                            ),
                            _connector="OR",
                        ),
                        name="line_says_what_it_is",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                (
                                    "discrepancy__in",
                                    [
                                        "AMOUNT_MISMATCH",
                                        "ATTEMPT_FAILED",
                                        "CURRENCY_MISMATCH",
                                        "DUPLICATE_AT_PSP",
                                        "MALFORMED_LINE",
                                        "MISSING_INTERNAL",
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
                ],
            },
        ),
        migrations.CreateModel(
            name="SettlementMatch",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "line",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="matches",
                        to="reconciliation.settlementline",
                    ),
                ),
                ("transaction_id", models.UUIDField(unique=True)),
                ("matched_at", models.DateTimeField()),
            ],
            options={
                "verbose_name_plural": "settlement matches",
                "db_table": "reconciliation_settlement_match",
            },
        ),
        migrations.CreateModel(
            name="WatchedFile",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
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
                ("name", models.CharField(max_length=128)),
                ("size_bytes", models.BigIntegerField()),
                ("modified_ns", models.BigIntegerField()),
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
                ("failing_since", models.DateTimeField(blank=True, null=True)),
                ("next_attempt_at", models.DateTimeField(blank=True, null=True)),
                ("last_error", models.CharField(blank=True, max_length=500)),
                ("found_at", models.DateTimeField()),
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
        migrations.CreateModel(
            name="SettlementWatch",
            fields=[
                (
                    "ledger_account",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        serialize=False,
                        to="ledger.ledgeraccount",
                    ),
                ),
                ("position", ledger.fields.TransactionIdField(default=0)),
                ("watched_at", models.DateTimeField()),
            ],
            options={
                "verbose_name_plural": "settlement watches",
                "db_table": "reconciliation_settlement_watch",
            },
        ),
        migrations.CreateModel(
            name="MissingSettlement",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "operation",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="payments.operation",
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
                ("amount_minor", models.BigIntegerField()),
                ("currency", models.CharField(max_length=3)),
                ("moved_at", models.DateTimeField()),
                ("expected_by", models.DateTimeField()),
                ("found_at", models.DateTimeField()),
                ("checked_at", models.DateTimeField()),
                ("settled_at", models.DateTimeField(blank=True, null=True)),
                ("late_by", models.DurationField(blank=True, null=True)),
            ],
            options={
                "db_table": "reconciliation_missing_settlement",
                "indexes": [
                    models.Index(
                        models.F("checked_at"),
                        condition=models.Q(("settled_at__isnull", True)),
                        name="missing_settlement_open",
                    ),
                    models.Index(
                        models.F("psp_account"),
                        models.F("currency"),
                        condition=models.Q(("settled_at__isnull", True)),
                        name="missing_settlement_account",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("operation", "amount_minor"), name="missing_settlement_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("expected_by__gt", models.F("moved_at")),
                            ("found_at__gte", models.F("expected_by")),
                        ),
                        name="missing_settlement_was_due",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("late_by__isnull", True),
                            ("settled_at__isnull", False),
                            _connector="OR",
                        ),
                        name="missing_settlement_is_late_once_settled",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("amount_minor", 0), _negated=True),
                        name="missing_settlement_has_an_amount",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="StatedBalance",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "psp_account",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="payments.pspaccount",
                    ),
                ),
                ("currency", models.CharField(max_length=3)),
                ("stated_minor", models.BigIntegerField()),
                ("stated_at", models.DateTimeField()),
                ("books_minor", models.BigIntegerField(blank=True, null=True)),
                ("judged_at", models.DateTimeField(blank=True, null=True)),
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
                (
                    "file",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="statements",
                        to="reconciliation.bankstatementfile",
                    ),
                ),
                (
                    "bank_account",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="reconciliation.bankaccount",
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
                "indexes": [
                    models.Index(fields=["bank_account", "closed_on"], name="bank_statement_by_day")
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("bank_account", "content_sha256"), name="bank_statement_once"
                    )
                ],
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
                (
                    "statement",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="lines",
                        to="reconciliation.bankstatement",
                    ),
                ),
                (
                    "bank_account",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="reconciliation.bankaccount",
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
                (
                    "payout",
                    models.OneToOneField(
                        blank=True,
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="bank_line",
                        to="reconciliation.settlementline",
                    ),
                ),
                ("named_by", models.CharField(blank=True, max_length=128)),
                ("matched_at", models.DateTimeField(blank=True, null=True)),
                ("stored_at", models.DateTimeField()),
            ],
            options={
                "db_table": "reconciliation_bank_line",
                "indexes": [
                    models.Index(
                        models.F("next_attempt_at"),
                        condition=models.Q(("next_attempt_at__isnull", False)),
                        name="bank_line_due",
                    ),
                    models.Index(
                        models.F("id"),
                        condition=models.Q(("status", reconciliation.states.LineStatus["DEAD"])),
                        name="bank_line_dead",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("bank_account", "identity", "occurrence"), name="bank_line_once"
                    ),
                    models.CheckConstraint(
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
                    models.CheckConstraint(
                        condition=models.Q(("amount_minor", 0), _negated=True),
                        name="bank_line_moves_money",
                    ),
                    models.CheckConstraint(
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
                ],
            },
        ),
    ]
