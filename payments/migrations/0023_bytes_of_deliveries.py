"""Deliveries no longer keep the bytes that they send: these are rendered from the event each time.

They were the largest part of a row that changes three times. Stop the relays before this migration.
"""

from django.db import migrations, models

from ledger.database.guards import permanent_columns


class Migration(migrations.Migration):
    dependencies = [("payments", "0022_allow_redisplay")]

    operations = [
        migrations.AddField(
            "delivery", "pending_webhooks", models.PositiveSmallIntegerField(db_default=1)
        ),
        migrations.RunSQL(
            "UPDATE payments_delivery SET pending_webhooks = "
            "(convert_from(envelope, 'UTF8')::jsonb ->> 'pending_webhooks')::int",
            migrations.RunSQL.noop,
        ),
        permanent_columns(
            "payments_delivery",
            "id event_id endpoint_id merchant_id livemode aggregateid seq is_replay "
            "pending_webhooks created_at",
        ),
        migrations.RemoveField("delivery", "envelope"),
    ]
