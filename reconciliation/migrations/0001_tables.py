"""The tables of reconciliation, their constraints and indexes. 0002_guards adds the triggers."""

import django.db.models.deletion
from django.db import migrations, models

import payments.public_ids
import reconciliation.states


class Migration(migrations.Migration):
    initial = True

    dependencies = [
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
                ("lines_announced", models.PositiveIntegerField(blank=True, null=True)),
                ("received_at", models.DateTimeField()),
                (
                    "status",
                    models.CharField(
                        default=reconciliation.states.ReportStatus["STORED"],
                        max_length=16,
                    ),
                ),
                ("lines_read", models.PositiveIntegerField(default=0)),
                ("lines_new", models.PositiveIntegerField(default=0)),
                ("read_at", models.DateTimeField(blank=True, null=True)),
                ("attempts", models.PositiveIntegerField(default=0)),
                ("failing_since", models.DateTimeField(blank=True, null=True)),
                ("next_attempt_at", models.DateTimeField(blank=True, null=True)),
                ("last_error", models.CharField(blank=True, max_length=500)),
            ],
            options={
                "db_table": "reconciliation_settlement_report",
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
                                ("next_attempt_at__isnull", True),
                                ("read_at__isnull", False),
                                ("status", reconciliation.states.ReportStatus["READ"]),
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
                            ),
                            _connector="OR",
                        ),
                        name="report_waits_or_is_done",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ReportBody",
            fields=[
                (
                    "report",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="file",
                        serialize=False,
                        to="reconciliation.settlementreport",
                    ),
                ),
                ("body", models.BinaryField()),
            ],
            options={
                "verbose_name_plural": "report bodies",
                "db_table": "reconciliation_report_body",
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
                        default=reconciliation.states.LineStatus["OPEN"],
                        max_length=16,
                    ),
                ),
                ("attempts", models.PositiveIntegerField(default=0)),
                ("next_attempt_at", models.DateTimeField(blank=True, null=True)),
                ("retrying_since", models.DateTimeField()),
                ("last_error", models.CharField(blank=True, max_length=500)),
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
                    models.Index(fields=["psp_account", "psp_id"], name="line_of_act"),
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
    ]
