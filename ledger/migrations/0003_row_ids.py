"""Functions by which transactions announce the ids of listed rows, and readers see them complete."""

from django.db import migrations

from ledger.database.guards import run_sql_file


class Migration(migrations.Migration):
    dependencies = [("ledger", "0002_guards")]

    operations = [run_sql_file("ledger", "row_ids")]
