"""Mandates, and which one a charge or a setup names."""

import django.db.models.deletion
from django.db import migrations, models

import payments.public_ids
from ledger.database.guards import permanent_columns, run_sql_file, state_machine
from payments.models.mandate import (
    MANDATE_INITIAL,
    MANDATE_TRANSITIONS,
    METHODS_WITH_MANDATE,
    MandateStatus,
)


class Migration(migrations.Migration):
    dependencies = [
        ("payments", "0014_notifications_of_disputes"),
    ]

    operations = [
        migrations.AddField(
            model_name="operation",
            name="mandate_id",
            field=models.UUIDField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="setupattempt",
            name="mandate_id",
            field=models.UUIDField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="setupintent",
            name="mandate_id",
            field=models.UUIDField(blank=True, null=True),
        ),
        migrations.CreateModel(
            name="Mandate",
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
                ("status", models.CharField(default=MandateStatus["PENDING"], max_length=16)),
                (
                    "use",
                    models.CharField(
                        choices=[("multi_use", "multi_use"), ("single_use", "single_use")],
                        max_length=10,
                    ),
                ),
                ("single_use_minor", models.BigIntegerField(blank=True, null=True)),
                ("currency", models.CharField(blank=True, max_length=3)),
                (
                    "acceptance",
                    models.CharField(
                        choices=[("online", "online"), ("offline", "offline")], max_length=7
                    ),
                ),
                ("accepted_at", models.DateTimeField()),
                ("ip_address", models.CharField(blank=True, max_length=45)),
                ("user_agent", models.CharField(blank=True, max_length=1000)),
                ("made_by_id", models.UUIDField()),
                (
                    "psp_reference",
                    models.CharField(blank=True, db_default="", default="", max_length=128),
                ),
                ("created_at", models.DateTimeField()),
                ("updated_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                (
                    "merchant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="payments.merchant",
                    ),
                ),
                (
                    "payment_method",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="mandates",
                        to="payments.paymentmethod",
                    ),
                ),
            ],
            options={
                "db_table": "payments_mandate",
                "indexes": [
                    models.Index(models.F("payment_method"), models.F("id"), name="mandate_method")
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("currency", ""),
                                ("single_use_minor__isnull", True),
                                ("use", "multi_use"),
                            ),
                            models.Q(
                                ("single_use_minor__gt", 0),
                                ("use", "single_use"),
                                models.Q(("currency", ""), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="mandate_single_use_has_its_amount",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("use", "single_use"), _negated=True),
                            models.Q(("status", "active"), _negated=True),
                            _connector="OR",
                        ),
                        name="mandate_single_use_is_never_active",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("ended_at__isnull", False), ("status", "inactive")),
                            models.Q(
                                models.Q(("status", "inactive"), _negated=True),
                                ("ended_at__isnull", True),
                            ),
                            _connector="OR",
                        ),
                        name="mandate_inactive_says_since_when",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("acceptance", "offline"), _negated=True),
                            models.Q(("ip_address", ""), ("user_agent", "")),
                            _connector="OR",
                        ),
                        name="mandate_offline_has_no_browser",
                    ),
                ],
            },
        ),
        state_machine("payments_mandate", MANDATE_TRANSITIONS, initial=MANDATE_INITIAL),
        permanent_columns(
            "payments_mandate",
            "id merchant_id livemode payment_method_id use single_use_minor currency acceptance "
            "accepted_at ip_address user_agent made_by_id created_at",
        ),
        permanent_columns(
            "payments_operation",
            "id merchant_id livemode intent_id psp_account_id kind amount_minor currency psp_key "
            "token capture_now final ends_challenge charge_id order_id idempotency_id replaces_id "
            "save_for off_session network_transaction_id mandate_id requested_at created_at",
        ),
        permanent_columns(
            "payments_setup_attempt",
            "id merchant_id livemode setup_intent_id psp_account_id psp_key payment_method_id "
            "customer_id mandate_id token usage idempotency_id created_at",
        ),
        run_sql_file(
            "payments",
            "mandates_are_of_their_method",
            methods=", ".join(f"'{each}'" for each in METHODS_WITH_MANDATE),
        ),
    ]
