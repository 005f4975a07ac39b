"""Disputes at a PSP without look-ups are read from their notifications."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("payments", "0013_configuration_changes"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="pspnotification",
            index=models.Index(
                "psp_account",
                "psp_dispute_id",
                condition=models.Q(("states_result", True)) & ~models.Q(("psp_dispute_id", "")),
                name="notification_of_dispute",
            ),
        ),
    ]
