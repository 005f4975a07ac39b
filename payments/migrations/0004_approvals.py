"""Requests for a second person's approval, and refunds over their limit, which wait for one."""

import django.db.models.deletion
from django.db import migrations, models

import payments.public_ids
from ledger.database.guards import permanent_columns, run_sql_file, state_machine
from payments.models.approval import APPROVAL_INITIAL, APPROVAL_TRANSITIONS


class Migration(migrations.Migration):
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("payments", "0003_agreed_fees"),
    ]

    operations = [
        migrations.CreateModel(
            name="Approval",
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
                ("livemode", models.BooleanField()),
                ("command", models.CharField(max_length=32)),
                ("subject", models.CharField(max_length=128)),
                ("intent_id", models.UUIDField(blank=True, null=True)),
                ("amount_minor", models.BigIntegerField(blank=True, null=True)),
                ("currency", models.CharField(blank=True, max_length=3)),
                ("content", models.TextField()),
                ("digest", models.CharField(max_length=64)),
                ("status", models.CharField(default="requested", max_length=16)),
                ("requester", models.CharField(max_length=200)),
                ("request_reason", models.CharField(max_length=1000)),
                ("request_id", models.CharField(blank=True, max_length=64)),
                ("expires_at", models.DateTimeField()),
                ("approver", models.CharField(blank=True, max_length=200)),
                ("decision_reason", models.CharField(blank=True, max_length=1000)),
                ("decided_at", models.DateTimeField(blank=True, null=True)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("ended_by", models.CharField(blank=True, max_length=200)),
                ("result", models.CharField(blank=True, max_length=500)),
                ("replaced_by_id", models.UUIDField(blank=True, null=True)),
                ("created_at", models.DateTimeField()),
            ],
            options={
                "db_table": "payments_approval",
            },
        ),
        migrations.CreateModel(
            name="ApprovalLimit",
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
                ("command", models.CharField(max_length=32)),
                ("currency", models.CharField(blank=True, max_length=3)),
                ("amount_max_minor", models.BigIntegerField(blank=True, null=True)),
            ],
            options={
                "db_table": "payments_approval_limit",
            },
        ),
        migrations.AlterModelOptions(
            name="merchant",
            options={
                "permissions": (("decide_approvals", "Can approve and reject requests about it"),)
            },
        ),
        migrations.AddField(
            model_name="merchant",
            name="refund_approval_limits",
            field=models.JSONField(
                blank=True,
                db_default=models.Value({}, models.JSONField()),
                default=dict,
                help_text="By currency, how much of one payment goes back without a second person, in minor units; a currency that is not named has no such limit.",
            ),
        ),
        migrations.AddField(
            model_name="refund",
            name="approval_id",
            field=models.UUIDField(blank=True, null=True),
        ),
        migrations.AlterField(
            model_name="refund",
            name="operation",
            field=models.OneToOneField(
                blank=True,
                db_constraint=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="refund",
                to="payments.operation",
            ),
        ),
        migrations.AddConstraint(
            model_name="refund",
            constraint=models.UniqueConstraint(
                condition=models.Q(("approval_id__isnull", False)),
                fields=("approval_id",),
                name="refund_approval",
            ),
        ),
        migrations.AddConstraint(
            model_name="refund",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("operation__isnull", False),
                    models.Q(
                        ("approval_id__isnull", False), ("status__in", ["pending", "canceled"])
                    ),
                    _connector="OR",
                ),
                name="refund_without_operation_waits",
            ),
        ),
        migrations.AddField(
            model_name="approval",
            name="merchant",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                to="payments.merchant",
            ),
        ),
        migrations.AddField(
            model_name="approval",
            name="psp_account",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                to="payments.pspaccount",
            ),
        ),
        migrations.AddField(
            model_name="approvallimit",
            name="group",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="auth.group"
            ),
        ),
        migrations.AddField(
            model_name="approvallimit",
            name="merchant",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="payments.merchant",
            ),
        ),
        migrations.AddField(
            model_name="approvallimit",
            name="psp_account",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="payments.pspaccount",
            ),
        ),
        migrations.AddIndex(
            model_name="approval",
            index=models.Index(models.F("intent_id"), name="approval_intent"),
        ),
        migrations.AddIndex(
            model_name="approval",
            index=models.Index(
                models.F("expires_at"),
                condition=models.Q(("status", "requested")),
                name="approval_waiting",
            ),
        ),
        migrations.AddConstraint(
            model_name="approval",
            constraint=models.UniqueConstraint(
                condition=models.Q(("status__in", ["requested", "approved"])),
                fields=("command", "subject"),
                name="one_open_approval",
            ),
        ),
        migrations.AddConstraint(
            model_name="approval",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "command__in",
                        [
                            "adjustment",
                            "capture_payment",
                            "change_credentials",
                            "change_limits",
                            "change_roles",
                            "change_routing",
                            "refund_payment",
                            "reopen_period",
                            "write_off",
                        ],
                    )
                ),
                name="approval_command",
            ),
        ),
        migrations.AddConstraint(
            model_name="approval",
            constraint=models.CheckConstraint(
                condition=models.Q(("approver", models.F("requester")), _negated=True),
                name="approver_is_not_the_requester",
            ),
        ),
        migrations.AddConstraint(
            model_name="approval",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("approver__startswith", "staff:"),
                        ("decided_at__isnull", False),
                        ("status__in", ["approved", "applied", "refused", "rejected"]),
                        models.Q(("decision_reason", ""), _negated=True),
                    ),
                    models.Q(
                        models.Q(
                            ("status__in", ["approved", "applied", "refused", "rejected"]),
                            _negated=True,
                        ),
                        ("approver", ""),
                        ("decided_at__isnull", True),
                        ("decision_reason", ""),
                    ),
                    _connector="OR",
                ),
                name="decision_names_its_approver",
            ),
        ),
        migrations.AddConstraint(
            model_name="approval",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("requester", ""), _negated=True),
                    models.Q(("request_reason", ""), _negated=True),
                ),
                name="approval_says_who_asks_and_why",
            ),
        ),
        migrations.AddConstraint(
            model_name="approval",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("ended_at__isnull", True), ("status__in", ["requested", "approved"])),
                    models.Q(
                        models.Q(("status__in", ["requested", "approved"]), _negated=True),
                        ("ended_at__isnull", False),
                        models.Q(("ended_by", ""), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="ended_approval_says_when",
            ),
        ),
        migrations.AddConstraint(
            model_name="approval",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("amount_minor__isnull", True), ("currency", "")),
                    models.Q(("amount_minor__gt", 0), ("currency__regex", "^[A-Z]{3}$")),
                    _connector="OR",
                ),
                name="approval_amount",
            ),
        ),
        migrations.AddConstraint(
            model_name="approvallimit",
            constraint=models.UniqueConstraint(
                fields=("group", "merchant", "psp_account", "command", "currency"),
                name="one_approval_limit",
                nulls_distinct=False,
            ),
        ),
        migrations.AddConstraint(
            model_name="approvallimit",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "command__in",
                        [
                            "adjustment",
                            "capture_payment",
                            "change_credentials",
                            "change_limits",
                            "change_roles",
                            "change_routing",
                            "refund_payment",
                            "reopen_period",
                            "write_off",
                        ],
                    )
                ),
                name="approval_limit_command",
            ),
        ),
        migrations.AddConstraint(
            model_name="approvallimit",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("amount_max_minor__isnull", True), ("currency", "")),
                    models.Q(
                        ("currency__regex", "^[A-Z]{3}$"),
                        models.Q(
                            ("amount_max_minor__isnull", True),
                            ("amount_max_minor__gt", 0),
                            _connector="OR",
                        ),
                    ),
                    _connector="OR",
                ),
                name="approval_limit_amount",
            ),
        ),
        state_machine("payments_approval", APPROVAL_TRANSITIONS, initial=APPROVAL_INITIAL),
        permanent_columns(
            "payments_approval",
            "id merchant_id psp_account_id livemode command subject intent_id amount_minor "
            "currency content digest requester request_reason request_id expires_at created_at",
        ),
        permanent_columns(
            "payments_refund",
            "id merchant_id livemode intent_id charge_id amount_minor currency approval_id "
            "created_at",
        ),
        run_sql_file("payments", "approvals_are_decided_by_two"),
        run_sql_file("payments", "refunds_over_limits_wait"),
    ]
