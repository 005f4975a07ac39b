"""Checkout sessions that keep a payment method instead of taking a payment."""

from django.db import migrations, models

from ledger.database.guards import permanent_columns, run_sql_file


class Migration(migrations.Migration):
    dependencies = [
        ("payments", "0008_charge_accounts"),
    ]

    operations = [
        migrations.AddField(
            model_name="setupintent",
            name="checkout_session_id",
            field=models.UUIDField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="checkoutsession",
            name="setup_intent",
            field=models.OneToOneField(
                blank=True,
                db_constraint=False,
                null=True,
                on_delete=models.PROTECT,
                related_name="+",
                to="payments.setupintent",
            ),
        ),
        migrations.AlterField(
            model_name="checkoutsession",
            name="intent",
            field=models.OneToOneField(
                blank=True,
                db_constraint=False,
                null=True,
                on_delete=models.PROTECT,
                related_name="+",
                to="payments.paymentintent",
            ),
        ),
        migrations.AddConstraint(
            model_name="checkoutsession",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("intent__isnull", False), ("setup_intent__isnull", True)),
                    models.Q(
                        ("intent__isnull", True),
                        ("payment_link", None),
                        ("setup_intent__isnull", False),
                    ),
                    _connector="OR",
                ),
                name="session_pays_or_keeps",
            ),
        ),
        permanent_columns(
            "payments_checkout_session",
            "id merchant_id livemode intent_id setup_intent_id payment_link_id token line_items "
            "success_url cancel_url expires_at created_at",
        ),
        permanent_columns(
            "payments_setup_intent",
            "id merchant_id livemode psp_account_id client_secret usage checkout_session_id "
            "created_at",
        ),
        run_sql_file("payments", "sessions_follow_their_payment"),
    ]
