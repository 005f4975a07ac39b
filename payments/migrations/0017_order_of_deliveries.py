"""Lets a webhook endpoint take events unordered, and remembers the last warning about it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("payments", "0016_closed_operations_are_not_sent")]

    operations = [
        migrations.AddField(
            "webhookendpoint",
            "delivery_order",
            models.CharField(
                max_length=16,
                default="ordered",
                db_default="ordered",
                choices=[(each, each) for each in ("ordered", "unordered")],
            ),
        ),
        migrations.AddField(
            "webhookendpoint", "warned_at", models.DateTimeField(null=True, blank=True)
        ),
    ]
