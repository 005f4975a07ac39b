"""Makes the functions that partition a table by month, make months ahead, and drop old ones.

No table is partitioned by it: that is the operator's decision (docs/operations.md).
"""

from django.db import migrations

from ledger.database.guards import run_sql_file


class Migration(migrations.Migration):
    dependencies = [("payments", "0030_queues_of_events")]

    operations = [run_sql_file("payments", "months")]
