"""An entry of an account's costs may name a brand, and a component of the fee."""

from django.db import migrations, models

from ledger.database.guards import run_sql_file


class Migration(migrations.Migration):
    dependencies = [("payments", "0002_guards")]

    operations = [
        run_sql_file("payments", "psp_accounts_have_costs"),
        migrations.AlterField(
            "pspaccount",
            "costs",
            models.JSONField(
                blank=True,
                default=list,
                help_text="What the PSP takes of a charge, as agreed: fixed_minor and "
                "basis_points; of a currency, a method, a brand, or all; of a component of the "
                "fee, or of all of it.",
            ),
        ),
    ]
