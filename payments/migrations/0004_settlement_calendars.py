"""An account says when its PSP reports what it settles."""

from django.db import migrations, models

from ledger.database.guards import run_sql_file


class Migration(migrations.Migration):
    dependencies = [("payments", "0003_discrepancies_of_cases")]

    operations = [
        migrations.AddField(
            model_name="pspaccount",
            name="settlement_calendar",
            field=models.JSONField(
                blank=True,
                default=dict,
                help_text="When a charge or refund is in a settlement report: country, time_zone, "
                "cutoff, business_days; watched false: never expected. What is not named is as its "
                "PSP usually is.",
            ),
        ),
        run_sql_file("payments", "settlement_calendars_have_a_form"),
    ]
