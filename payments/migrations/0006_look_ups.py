"""How often settlement lines look something up at a PSP account."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("payments", "0005_closing_rule_of_balances"),
    ]

    operations = [
        migrations.AddField(
            model_name="pspaccount",
            name="look_ups_per_minute",
            field=models.PositiveIntegerField(
                default=300,
                help_text="How often a minute settlement lines look something up at the PSP, at most.",
            ),
        ),
        migrations.AddConstraint(
            model_name="pspaccount",
            constraint=models.CheckConstraint(
                condition=models.Q(("look_ups_per_minute__range", (1, 100000))),
                name="psp_account_looks_up",
            ),
        ),
    ]
