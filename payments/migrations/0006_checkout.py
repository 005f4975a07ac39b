"""Checkout sessions and payment links, and what PostgreSQL itself refuses in them."""

from django.db import migrations, models

from ledger.database.guards import permanent_columns, run_sql_file, state_machine
from payments import public_ids, states


class Migration(migrations.Migration):
    dependencies = [
        ("payments", "0005_psp_accounts"),
    ]

    operations = [
        migrations.AddField(
            model_name="paymentintent",
            name="checkout_session_id",
            field=models.UUIDField(blank=True, null=True),
        ),
        migrations.CreateModel(
            name="PaymentLink",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=public_ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("livemode", models.BooleanField()),
                ("amount_minor", models.BigIntegerField()),
                ("currency", models.CharField(max_length=3)),
                ("token", models.CharField(max_length=64, unique=True)),
                ("active", models.BooleanField(default=True)),
                ("line_items", models.JSONField()),
                ("method_types", models.JSONField(default=list)),
                ("intent_details", models.JSONField(default=dict)),
                ("redirect_url", models.CharField(blank=True, max_length=2048)),
                ("inactive_message", models.CharField(blank=True, max_length=500)),
                ("submit_type", models.CharField(default="auto", max_length=8)),
                ("metadata", models.JSONField(default=dict)),
                ("created_at", models.DateTimeField()),
                ("updated_at", models.DateTimeField()),
                (
                    "merchant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=models.PROTECT,
                        to="payments.merchant",
                    ),
                ),
            ],
            options={
                "db_table": "payments_payment_link",
            },
        ),
        migrations.CreateModel(
            name="CheckoutSession",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=public_ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("livemode", models.BooleanField()),
                ("token", models.CharField(max_length=64, unique=True)),
                (
                    "status",
                    models.CharField(default="open", max_length=24),
                ),
                (
                    "bank_decision",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("", ""),
                            ("awaited", "awaited"),
                            ("succeeded", "succeeded"),
                            ("failed", "failed"),
                        ],
                        max_length=9,
                    ),
                ),
                ("line_items", models.JSONField()),
                ("success_url", models.CharField(blank=True, max_length=2048)),
                ("cancel_url", models.CharField(blank=True, max_length=2048)),
                ("customer_email", models.CharField(blank=True, max_length=512)),
                ("client_reference_id", models.CharField(blank=True, max_length=200)),
                ("locale", models.CharField(default="auto", max_length=8)),
                ("submit_type", models.CharField(default="auto", max_length=8)),
                ("metadata", models.JSONField(default=dict)),
                ("expires_at", models.DateTimeField()),
                ("next_expiry_at", models.DateTimeField(blank=True, null=True)),
                ("completed_at", models.DateTimeField(blank=True, null=True)),
                ("created_at", models.DateTimeField()),
                ("updated_at", models.DateTimeField()),
                (
                    "intent",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=models.PROTECT,
                        related_name="+",
                        to="payments.paymentintent",
                    ),
                ),
                (
                    "merchant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=models.PROTECT,
                        to="payments.merchant",
                    ),
                ),
                (
                    "payment_link",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=models.PROTECT,
                        to="payments.paymentlink",
                    ),
                ),
            ],
            options={
                "db_table": "payments_checkout_session",
            },
        ),
        migrations.AddIndex(
            model_name="paymentlink",
            index=models.Index(
                models.F("merchant"),
                models.F("livemode"),
                models.OrderBy(models.F("id"), descending=True),
                name="link_newest",
            ),
        ),
        migrations.AddConstraint(
            model_name="paymentlink",
            constraint=models.CheckConstraint(
                condition=models.Q(("amount_minor__gt", 0)), name="link_amount_positive"
            ),
        ),
        migrations.AddConstraint(
            model_name="paymentlink",
            constraint=models.CheckConstraint(
                condition=models.Q(("currency__regex", "^[A-Z]{3}$")), name="link_currency"
            ),
        ),
        migrations.AddIndex(
            model_name="checkoutsession",
            index=models.Index(
                models.F("merchant"),
                models.F("livemode"),
                models.OrderBy(models.F("id"), descending=True),
                name="session_newest",
            ),
        ),
        migrations.AddIndex(
            model_name="checkoutsession",
            index=models.Index(
                models.F("payment_link"),
                models.F("id"),
                condition=models.Q(("payment_link__isnull", False)),
                name="session_of_link",
            ),
        ),
        migrations.AddIndex(
            model_name="checkoutsession",
            index=models.Index(
                models.F("next_expiry_at"),
                condition=models.Q(("next_expiry_at__isnull", False)),
                name="session_due",
            ),
        ),
        migrations.AddConstraint(
            model_name="checkoutsession",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("next_expiry_at__isnull", False),
                        ("status", "open"),
                    ),
                    models.Q(
                        models.Q(("status", "open"), _negated=True),
                        ("next_expiry_at__isnull", True),
                    ),
                    _connector="OR",
                ),
                name="open_session_expires",
            ),
        ),
        migrations.AddConstraint(
            model_name="checkoutsession",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("bank_decision", ""),
                    ("status", "complete"),
                    _connector="OR",
                ),
                name="bank_decides_of_complete_session",
            ),
        ),
        state_machine(
            "payments_checkout_session",
            states.CHECKOUT_TRANSITIONS,
            initial=states.CHECKOUT_INITIAL,
        ),
        permanent_columns(
            "payments_checkout_session",
            "id merchant_id livemode intent_id payment_link_id token line_items success_url "
            "cancel_url expires_at created_at",
        ),
        permanent_columns(
            "payments_payment_link",
            "id merchant_id livemode amount_minor currency token line_items method_types "
            "intent_details submit_type created_at",
        ),
        permanent_columns(
            "payments_payment_intent",
            "id merchant_id livemode psp_account_id client_secret confirmation_method "
            "checkout_session_id created_at",
        ),
        run_sql_file("payments", "sessions_follow_their_payment"),
    ]
