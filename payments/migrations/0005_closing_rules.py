"""An account says by which rules its cases are not closed without an operator."""

import django.contrib.postgres.fields
from django.db import migrations, models

from ledger.database.guards import run_sql_file
from payments.services.cases.closing import ClosingRule


class Migration(migrations.Migration):
    dependencies = [("payments", "0004_settlement_calendars")]

    operations = [
        migrations.AddField(
            model_name="pspaccount",
            name="rules_off",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=32),
                blank=True,
                default=list,
                help_text="Rules that close none of its cases, such as late_line; an operator does.",
                size=None,
            ),
        ),
        run_sql_file(
            "payments",
            "rules_off_are_rules",
            rules=", ".join(f"'{rule}'" for rule in ClosingRule.values),
        ),
    ]
