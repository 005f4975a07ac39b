"""Keeps the automatic choice of payment methods that a merchant asked for."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("payments", "0010_open_rows_of_metrics")]

    operations = [
        migrations.AddField(
            "paymentintent",
            "automatic_payment_methods",
            models.JSONField(null=True, blank=True),
        ),
    ]
