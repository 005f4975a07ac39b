"""Whether a merchant may show a saved method to its customer again, as the merchant says."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("payments", "0021_search_at_volume")]

    operations = [
        migrations.AddField(
            "paymentmethod",
            "allow_redisplay",
            models.CharField(
                max_length=11,
                default="unspecified",
                db_default="unspecified",
                choices=[(each, each) for each in ("always", "limited", "unspecified")],
                help_text="For the merchant: no method is shown to customers here.",
            ),
        ),
    ]
