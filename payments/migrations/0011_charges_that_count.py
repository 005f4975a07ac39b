"""Hold the counters of a payment to the charge that counts, when a closed charge changes its role."""

from django.db import migrations

from ledger.database.guards import run_sql_file


class Migration(migrations.Migration):
    dependencies = [("payments", "0010_stored_tokens")]

    operations = [
        run_sql_file("payments", "counters_are_of_the_charge_that_counts"),
        run_sql_file("payments", "disputed_charges_are_not_refunded"),
    ]
