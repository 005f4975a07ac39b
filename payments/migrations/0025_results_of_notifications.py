"""What a notification states of an operation: one that states what our rows show needs no look-up."""

from django.db import migrations, models

from ledger.database.guards import permanent_columns


class Migration(migrations.Migration):
    dependencies = [("payments", "0024_events_without_endpoints")]

    operations = [
        migrations.AddField(
            "pspnotification",
            "claimed_kind",
            models.CharField(max_length=16, blank=True, default="", db_default=""),
        ),
        migrations.AddField(
            "pspnotification",
            "psp_id",
            models.CharField(max_length=128, blank=True, default="", db_default=""),
        ),
        migrations.AddField(
            "pspnotification", "claimed_minor", models.BigIntegerField(null=True, blank=True)
        ),
        migrations.AddField(
            "pspnotification",
            "claimed_currency",
            models.CharField(max_length=3, blank=True, default="", db_default=""),
        ),
        permanent_columns(
            "payments_psp_notification",
            "id psp_account_id event_id type known psp_payment_id psp_dispute_id our_references "
            "claims claimed_kind psp_id claimed_minor claimed_currency occurred_at body "
            "body_sha256 headers received_at",
        ),
    ]
