"""Three indexes of deliveries instead of six that every change of a row wrote.

Made without blocking deliveries. An attempt that was interrupted leaves an invalid index: drop it,
then migrate again.
"""

from django.contrib.postgres.operations import RemoveIndexConcurrently
from django.db import migrations, models

_ONCE = """
CREATE UNIQUE INDEX CONCURRENTLY delivery_of_endpoint_once ON payments_delivery (
    endpoint_id, event_id, (CASE WHEN is_replay THEN id END)
) NULLS NOT DISTINCT"""


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("payments", "0026_fewer_index_entries")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(_ONCE, "DROP INDEX CONCURRENTLY delivery_of_endpoint_once"),
                migrations.RunSQL(
                    "DROP INDEX CONCURRENTLY delivery_once",
                    "CREATE UNIQUE INDEX CONCURRENTLY delivery_once ON payments_delivery "
                    "(event_id, endpoint_id) WHERE NOT is_replay",
                ),
            ],
            state_operations=[
                migrations.AddConstraint(
                    "delivery",
                    models.UniqueConstraint(
                        "endpoint",
                        "event",
                        models.Case(models.When(is_replay=True, then=models.F("id"))),
                        name="delivery_of_endpoint_once",
                        nulls_distinct=False,
                    ),
                ),
                migrations.RemoveConstraint("delivery", "delivery_once"),
            ],
        ),
        RemoveIndexConcurrently("delivery", "delivery_of_event"),
        RemoveIndexConcurrently("delivery", "delivery_newest"),
        RemoveIndexConcurrently("delivery", "delivery_ended"),
    ]
