"""What charges a payment method since its PSP keeps it, where that is another token."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("payments", "0009_setup_sessions"),
    ]

    operations = [
        migrations.AddField(
            model_name="paymentmethod",
            name="stored_token",
            field=models.CharField(blank=True, db_default="", default="", max_length=255),
        ),
        migrations.AddConstraint(
            model_name="paymentmethod",
            constraint=models.CheckConstraint(
                condition=models.Q(("stored_token__regex", "^[0-9 -]{12,23}$"), _negated=True),
                name="payment_method_stored_token_is_no_number",
            ),
        ),
    ]
