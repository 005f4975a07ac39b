"""Keeps what merchants say about the purchase, and what of it a PSP is sent."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("payments", "0019_index_of_canceled_payments")]

    operations = [
        migrations.AddField(model, column, models.JSONField(null=True, blank=True))
        for model, column in (
            ("paymentintent", "amount_details"),
            ("paymentintent", "level3"),
            ("operation", "purchase_details"),
        )
    ]
