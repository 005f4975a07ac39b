"""Events of merchants without an enabled endpoint are not fanned out: a statement less for each."""

from django.db import migrations

from ledger.database.guards import run_sql_file


class Migration(migrations.Migration):
    dependencies = [("payments", "0023_bytes_of_deliveries")]

    operations = [run_sql_file("payments", "events_are_dispatched")]
