"""What was canceled or closed is not sent to the PSP."""

from django.db import migrations

from ledger.database.guards import run_sql_file


class Migration(migrations.Migration):
    dependencies = [("payments", "0015_search_indexes")]

    operations = [run_sql_file("payments", "closed_operations_are_not_sent")]
