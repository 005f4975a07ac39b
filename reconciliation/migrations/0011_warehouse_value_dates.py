"""The warehouse's view of the books, with the day of what an entry is about."""

from django.db import migrations

from ledger.database.guards import run_sql_file


class Migration(migrations.Migration):
    dependencies = [
        ("ledger", "0007_fx_position"),
        ("reconciliation", "0010_conversions"),
    ]

    operations = [run_sql_file("reconciliation", "warehouse_ledger_entries")]
