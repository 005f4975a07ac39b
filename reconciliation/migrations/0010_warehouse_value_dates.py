"""The warehouse's view of the books, with the day of what an entry is about."""

from django.db import migrations

from ledger.database.guards import run_sql_file


class Migration(migrations.Migration):
    dependencies = [
        ("ledger", "0006_periods"),
        ("reconciliation", "0009_closes_of_the_books"),
    ]

    operations = [run_sql_file("reconciliation", "warehouse_ledger_entries")]
