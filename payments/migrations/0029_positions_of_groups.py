"""A group's row says what the group has consumed, in place of a row for each of its events.

Stop publishers and consumers before this migration.
"""

from django.db import migrations, models

from ledger.database.guards import run_sql_file
from payments.models.streaming import NumbersField

# What was consumed above a gap counts as well, and dead letters, which only a replay consumes now.
_FILL = """
UPDATE payments_stream_group g
   SET consumed = int8multirange(int8range(1, g.consumed_to + 1)) + coalesce((
       SELECT range_agg(int8range(s.number, s.number, '[]')) FROM payments_stream_entry s
        WHERE EXISTS (SELECT FROM payments_consumed_event c
                       WHERE c.event_id = s.event_id AND c."group" = g.name)
           OR EXISTS (SELECT FROM payments_failed_event f WHERE f.event_id = s.event_id
                       AND f."group" = g.name AND f.dead_at IS NOT NULL)), '{}')"""


_NO_NUMBERS = models.Value("{}", output_field=NumbersField())


class Migration(migrations.Migration):
    dependencies = [("payments", "0028_room_for_notifications")]

    operations = [
        migrations.AddField("streamgroup", "consumed", NumbersField(db_default=_NO_NUMBERS)),
        migrations.AddField("streamgroup", "added", NumbersField(db_default=_NO_NUMBERS)),
        migrations.RunSQL(_FILL, migrations.RunSQL.noop),
        migrations.RunSQL("DROP TRIGGER forward_only ON payments_stream_group"),
        migrations.RemoveConstraint("streamgroup", "stream_group_position_positive"),
        migrations.RemoveField("streamgroup", "consumed_to"),
        migrations.AddField(
            "streamgroup",
            "consumed_to",
            models.GeneratedField(
                expression=models.Func(
                    "consumed",
                    template="lower(int8multirange(int8range(1, NULL)) - %(expressions)s) - 1",
                ),
                output_field=models.BigIntegerField(),
                db_persist=True,
            ),
        ),
        run_sql_file("payments", "consumed_numbers_stay"),
        migrations.DeleteModel("ConsumedEvent"),
    ]
