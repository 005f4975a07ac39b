"""Setup intents and their attempts, and what a charge says of a kept payment method."""

import django.db.models.deletion
from django.db import migrations, models

import payments.public_ids
from ledger.database.guards import permanent_columns, state_machine
from payments import states


class Migration(migrations.Migration):
    dependencies = [
        ("payments", "0003_results_by_notification"),
    ]

    operations = [
        migrations.CreateModel(
            name="SetupAttempt",
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
                ("status", models.CharField(default="SENDING", max_length=16)),
                ("psp_key", models.CharField(max_length=64, unique=True)),
                ("psp_id", models.CharField(blank=True, max_length=128)),
                ("payment_method_id", models.UUIDField()),
                ("customer_id", models.UUIDField(blank=True, null=True)),
                ("payment_method_details", models.JSONField()),
                ("token", models.CharField(max_length=255)),
                ("usage", models.CharField(max_length=16)),
                ("three_d_secure", models.CharField(blank=True, max_length=16)),
                ("return_url", models.CharField(blank=True, max_length=2048)),
                ("network_transaction_id", models.CharField(blank=True, max_length=128)),
                ("code", models.CharField(blank=True, max_length=64)),
                ("decline_code", models.CharField(blank=True, max_length=64)),
                ("message", models.CharField(blank=True, max_length=500)),
                ("detail", models.CharField(blank=True, max_length=500)),
                ("actor", models.CharField(max_length=200)),
                ("request_id", models.CharField(blank=True, max_length=64)),
                ("idempotency_id", models.UUIDField(blank=True, null=True)),
                ("lease_until", models.DateTimeField()),
                ("next_check_at", models.DateTimeField(blank=True, null=True)),
                ("checks", models.PositiveIntegerField(default=0)),
                ("created_at", models.DateTimeField()),
                ("closed_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "db_table": "payments_setup_attempt",
            },
        ),
        migrations.CreateModel(
            name="SetupIntent",
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
                (
                    "status",
                    models.CharField(
                        default=payments.states.SetupStatus["REQUIRES_PAYMENT_METHOD"],
                        max_length=24,
                    ),
                ),
                (
                    "usage",
                    models.CharField(
                        choices=[("on_session", "on_session"), ("off_session", "off_session")],
                        max_length=16,
                    ),
                ),
                ("payment_method_types", models.JSONField(default=list)),
                ("automatic_payment_methods", models.JSONField(blank=True, null=True)),
                ("payment_method_options", models.JSONField(blank=True, default=dict)),
                ("latest_attempt_id", models.UUIDField(blank=True, null=True)),
                ("client_secret", models.CharField(max_length=64)),
                ("next_action_url", models.CharField(blank=True, max_length=2048)),
                ("return_url", models.CharField(blank=True, max_length=2048)),
                ("last_setup_error", models.JSONField(blank=True, null=True)),
                ("cancellation_reason", models.CharField(blank=True, max_length=32)),
                ("description", models.CharField(blank=True, max_length=1000)),
                ("metadata", models.JSONField(blank=True, default=dict)),
                ("idempotency_key", models.CharField(blank=True, max_length=255)),
                ("event_seq", models.PositiveIntegerField(default=0)),
                ("created_at", models.DateTimeField()),
                ("updated_at", models.DateTimeField()),
                ("canceled_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "db_table": "payments_setup_intent",
            },
        ),
        migrations.AddField(
            model_name="operation",
            name="network_transaction_id",
            field=models.CharField(blank=True, db_default="", default="", max_length=128),
        ),
        migrations.AddField(
            model_name="operation",
            name="off_session",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name="operation",
            name="save_for",
            field=models.CharField(blank=True, db_default="", default="", max_length=16),
        ),
        migrations.AddField(
            model_name="paymentmethod",
            name="network_transaction_id",
            field=models.CharField(blank=True, db_default="", default="", max_length=128),
        ),
        migrations.AddConstraint(
            model_name="operation",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("network_transaction_id", ""), ("off_session", False), ("save_for", "")
                    ),
                    models.Q(
                        ("kind", "authorize"), ("save_for__in", ["", "on_session", "off_session"])
                    ),
                    _connector="OR",
                ),
                name="operation_credential_of_a_charge",
            ),
        ),
        migrations.AddConstraint(
            model_name="operation",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("off_session", False), ("challenge_allowed", False), _connector="OR"
                ),
                name="operation_off_session_has_no_challenge",
            ),
        ),
        migrations.AddField(
            model_name="setupattempt",
            name="merchant",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                to="payments.merchant",
            ),
        ),
        migrations.AddField(
            model_name="setupattempt",
            name="psp_account",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                to="payments.pspaccount",
            ),
        ),
        migrations.AddField(
            model_name="setupintent",
            name="customer",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                to="payments.customer",
            ),
        ),
        migrations.AddField(
            model_name="setupintent",
            name="merchant",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                to="payments.merchant",
            ),
        ),
        migrations.AddField(
            model_name="setupintent",
            name="payment_method",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                to="payments.paymentmethod",
            ),
        ),
        migrations.AddField(
            model_name="setupintent",
            name="psp_account",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                to="payments.pspaccount",
            ),
        ),
        migrations.AddField(
            model_name="setupattempt",
            name="setup_intent",
            field=models.ForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="attempts",
                to="payments.setupintent",
            ),
        ),
        migrations.AddIndex(
            model_name="setupintent",
            index=models.Index(
                models.F("merchant"), models.F("livemode"), models.F("id"), name="setup_by_id"
            ),
        ),
        migrations.AddIndex(
            model_name="setupintent",
            index=models.Index(
                models.F("customer"),
                condition=models.Q(("customer__isnull", False)),
                name="setup_customer",
            ),
        ),
        migrations.AddIndex(
            model_name="setupintent",
            index=models.Index(
                models.F("payment_method"),
                condition=models.Q(("payment_method__isnull", False)),
                name="setup_method",
            ),
        ),
        migrations.AddConstraint(
            model_name="setupintent",
            constraint=models.CheckConstraint(
                condition=models.Q(("usage__in", ("on_session", "off_session"))), name="setup_usage"
            ),
        ),
        migrations.AddConstraint(
            model_name="setupintent",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        (
                            "status__in",
                            ["requires_confirmation", "processing", "requires_action", "succeeded"],
                        ),
                        _negated=True,
                    ),
                    ("payment_method__isnull", False),
                    _connector="OR",
                ),
                name="setup_names_its_method",
            ),
        ),
        migrations.AddConstraint(
            model_name="setupintent",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("status", "requires_action"), _negated=True),
                    models.Q(("next_action_url", ""), _negated=True),
                    _connector="OR",
                ),
                name="setup_names_its_challenge",
            ),
        ),
        migrations.AddIndex(
            model_name="setupattempt",
            index=models.Index(
                models.F("next_check_at"),
                condition=models.Q(("next_check_at__isnull", False)),
                name="setup_attempt_due",
            ),
        ),
        migrations.AddConstraint(
            model_name="setupattempt",
            constraint=models.UniqueConstraint(
                condition=models.Q(("status__in", ["REQUIRES_ACTION", "SENDING", "UNKNOWN"])),
                fields=("setup_intent",),
                name="one_open_attempt_per_setup",
            ),
        ),
        migrations.AddConstraint(
            model_name="setupattempt",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("closed_at__isnull", True),
                        ("next_check_at__isnull", False),
                        ("status__in", ["REQUIRES_ACTION", "SENDING", "UNKNOWN"]),
                    ),
                    models.Q(
                        models.Q(
                            ("status__in", ["REQUIRES_ACTION", "SENDING", "UNKNOWN"]), _negated=True
                        ),
                        ("closed_at__isnull", False),
                        ("next_check_at__isnull", True),
                    ),
                    _connector="OR",
                ),
                name="setup_attempt_open_or_closed",
            ),
        ),
        state_machine(
            "payments_setup_intent", states.SETUP_TRANSITIONS, initial=states.SETUP_INITIAL
        ),
        state_machine(
            "payments_setup_attempt",
            states.SETUP_ATTEMPT_TRANSITIONS,
            initial=states.SETUP_ATTEMPT_INITIAL,
        ),
        permanent_columns(
            "payments_operation",
            "id merchant_id livemode intent_id psp_account_id kind amount_minor currency psp_key "
            "token capture_now final ends_challenge charge_id order_id idempotency_id replaces_id "
            "save_for off_session network_transaction_id requested_at created_at",
        ),
        permanent_columns(
            "payments_setup_intent",
            "id merchant_id livemode psp_account_id client_secret usage created_at",
        ),
        permanent_columns(
            "payments_setup_attempt",
            "id merchant_id livemode setup_intent_id psp_account_id psp_key payment_method_id "
            "customer_id token usage idempotency_id created_at",
        ),
    ]
