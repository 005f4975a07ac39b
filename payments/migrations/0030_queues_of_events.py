"""A queue for each reader of new events: fan-out and numbering delete rows, and change none.

Stop relays and publishers before this migration.
"""

from django.db import migrations, models

from ledger.database.guards import run_sql_file

_QUEUE = """
INSERT INTO payments_unnumbered_event (event_id)
SELECT event_id FROM payments_dispatch WHERE streamed_at IS NULL"""


class Migration(migrations.Migration):
    dependencies = [("payments", "0029_positions_of_groups")]

    operations = [
        migrations.CreateModel(
            name="UnnumberedEvent",
            fields=[("event_id", models.UUIDField(primary_key=True, serialize=False))],
            options={"db_table": "payments_unnumbered_event"},
        ),
        # No event is written between the change of the trigger and the end of the migration.
        migrations.RunSQL("LOCK TABLE payments_event IN SHARE MODE", migrations.RunSQL.noop),
        migrations.RunSQL(_QUEUE, migrations.RunSQL.noop),
        migrations.RunSQL(
            "DELETE FROM payments_dispatch WHERE fanned_out_at IS NOT NULL",
            migrations.RunSQL.noop,
        ),
        run_sql_file("payments", "events_are_dispatched"),
        migrations.RemoveIndex("dispatch", "dispatch_to_fan_out"),
        migrations.RemoveIndex("dispatch", "dispatch_to_stream"),
        # The column stays, empty: web processes of the version before read it until they are replaced.
        migrations.SeparateDatabaseAndState(
            state_operations=[migrations.RemoveField("dispatch", "fanned_out_at")]
        ),
        migrations.RemoveField("dispatch", "streamed_at"),
    ]
