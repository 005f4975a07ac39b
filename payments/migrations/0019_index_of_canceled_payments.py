"""Searches for canceled payments and refunded charges do not read every row of a merchant."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("payments", "0018_method_options")]

    operations = [
        AddIndexConcurrently(
            "paymentintent",
            models.Index(
                "merchant",
                "livemode",
                models.F("id").desc(),
                name="intent_canceled",
                condition=models.Q(canceled_at__isnull=False),
            ),
        ),
    ]
