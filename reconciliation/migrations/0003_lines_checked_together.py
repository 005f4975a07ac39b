"""Lines of charges and refunds are checked once for each UPDATE, and not row by row."""

from django.db import migrations

from ledger.database.guards import run_sql_file


class Migration(migrations.Migration):
    dependencies = [("reconciliation", "0002_guards")]

    operations = [run_sql_file("reconciliation", "lines_of_operations_equal_the_books")]
