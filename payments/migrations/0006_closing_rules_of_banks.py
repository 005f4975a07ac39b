"""An account may switch off the rules that close cases about its payouts at the bank, too."""

from django.db import migrations

from ledger.database.guards import run_sql_file
from payments.services.cases.closing import ClosingRule


class Migration(migrations.Migration):
    dependencies = [("payments", "0005_closing_rules")]

    operations = [
        run_sql_file(
            "payments",
            "rules_off_are_rules",
            rules=", ".join(f"'{rule}'" for rule in ClosingRule.values),
        ),
    ]
