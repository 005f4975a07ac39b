"""What models cannot say of the books, mostly what PostgreSQL refuses: one file of `ledger/sql/` each.

Plain SQL and not django-pgtrigger: its triggers obey a session setting (`pgtrigger.ignore`) that
any login may change. These are ENABLE ALWAYS, so that `session_replication_role` does not disable
them either; only the owner of the tables can. Each function has a fixed search path with pg_temp
last: no login can put a temporary table of the same name in front.
"""

from django.db import migrations

from ledger.database.guards import run_sql_file


class Migration(migrations.Migration):
    dependencies = [("ledger", "0001_initial")]

    operations = [
        run_sql_file("ledger", "transactions_balance"),
        run_sql_file("ledger", "transactions_have_entries"),
        run_sql_file("ledger", "snapshots_are_of_the_past"),
        run_sql_file("ledger", "books_are_append_only"),
        run_sql_file("ledger", "entries_are_found_by_transaction"),
        run_sql_file("ledger", "row_ids"),
    ]
