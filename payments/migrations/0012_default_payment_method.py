"""Keeps the payment method that a merchant wants charged by default for a customer."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("payments", "0011_automatic_payment_methods")]

    operations = [
        migrations.AddField(
            "customer",
            "default_payment_method",
            models.ForeignKey(
                to="payments.paymentmethod",
                on_delete=django.db.models.deletion.PROTECT,
                db_constraint=False,
                db_index=False,
                related_name="+",
                null=True,
                blank=True,
            ),
        ),
    ]
