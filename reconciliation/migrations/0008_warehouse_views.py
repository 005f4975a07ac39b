"""Views for warehouses; `migrate` gives their login the right to read them."""

from django.db import migrations

from ledger.database.guards import run_sql_file


class Migration(migrations.Migration):
    dependencies = [
        ("ledger", "0004_fee_components"),
        ("payments", "0004_approvals"),
        ("reconciliation", "0007_lines_in_parts"),
    ]

    operations = [
        run_sql_file("payments", "months"),  # A table that is partitioned takes its views along.
        run_sql_file("reconciliation", "warehouse_views"),
    ]
