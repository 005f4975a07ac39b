"""Notifications that look-ups read, at a PSP that states its results in them alone."""

import django.db.models.fields.json
from django.db import migrations, models

from ledger.database.guards import permanent_columns


class Migration(migrations.Migration):
    dependencies = [("payments", "0002_guards")]

    operations = [
        migrations.AddField(
            "pspnotification",
            "states_result",
            models.BooleanField(default=False, db_default=False),
        ),
        migrations.AddIndex(
            "pspnotification",
            models.Index(
                "psp_account",
                "psp_payment_id",
                name="notification_of_payment",
                condition=models.Q(states_result=True),
            ),
        ),
        migrations.AddIndex(
            "pspnotification",
            models.Index(
                "psp_account",
                django.db.models.fields.json.KeyTextTransform("0", "our_references"),
                name="notification_of_reference",
                condition=models.Q(states_result=True),
            ),
        ),
        permanent_columns(
            "payments_psp_notification",
            "id psp_account_id event_id type known psp_payment_id psp_dispute_id our_references "
            "claims claimed_kind psp_id claimed_minor claimed_currency states_result occurred_at "
            "body body_sha256 headers received_at",
        ),
    ]
