"""Lines of the account as a whole are checked once for each UPDATE, and not row by row."""

from django.db import migrations

from ledger.database.guards import run_sql_file


class Migration(migrations.Migration):
    dependencies = [("reconciliation", "0006_import_permission")]

    operations = [run_sql_file("reconciliation", "lines_of_accounts_equal_the_books")]
