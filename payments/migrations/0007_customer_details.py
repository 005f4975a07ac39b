"""What merchants keep with a customer: preferred languages, and whether it is exempt from tax."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("payments", "0006_divisible_amounts")]

    operations = [
        migrations.AddField(
            "customer",
            "preferred_locales",
            models.JSONField(
                blank=True, default=list, db_default=models.Value([], models.JSONField())
            ),
        ),
        migrations.AddField(
            "customer",
            "tax_exempt",
            models.CharField(
                max_length=8,
                default="none",
                db_default="none",
                choices=[(each, each) for each in ("none", "exempt", "reverse")],
                help_text="For the merchant: no tax is computed here.",
            ),
        ),
    ]
