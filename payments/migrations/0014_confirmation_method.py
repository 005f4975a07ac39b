"""Whether a merchant confirms again after a challenge; fixed when the payment is created."""

from django.db import migrations, models

from ledger.database.guards import permanent_columns


class Migration(migrations.Migration):
    dependencies = [("payments", "0013_ended_challenges")]

    operations = [
        migrations.AddField(
            "paymentintent",
            "confirmation_method",
            models.CharField(max_length=16, default="automatic", db_default="automatic"),
        ),
        migrations.RunSQL("SET CONSTRAINTS ALL IMMEDIATE", migrations.RunSQL.noop),
        migrations.AddConstraint(
            "paymentintent",
            models.CheckConstraint(
                condition=models.Q(confirmation_method__in=["automatic", "manual"]),
                name="intent_confirmation_method",
            ),
        ),
        permanent_columns(
            "payments_payment_intent",
            "id merchant_id livemode psp_account_id client_secret confirmation_method created_at",
        ),
    ]
