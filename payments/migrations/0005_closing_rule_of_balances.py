"""An account may switch off the rule that closes cases about its balance, too."""

from django.db import migrations

from ledger.database.guards import run_sql_file
from payments.services.cases.closing import ClosingRule


class Migration(migrations.Migration):
    dependencies = [("payments", "0004_network_ids_of_charges")]

    operations = [
        run_sql_file(
            "payments",
            "rules_off_are_rules",
            rules=", ".join(f"'{rule}'" for rule in ClosingRule.values),
        ),
    ]
