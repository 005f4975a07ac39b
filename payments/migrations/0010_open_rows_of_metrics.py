"""Indexes of open cases, unanswered disputes and failing endpoints: each scrape counts them."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("payments", "0009_accounts_of_the_mode")]

    operations = [
        migrations.AddIndex(
            "case",
            models.Index(
                models.F("opened_at"),
                models.F("kind"),
                condition=models.Q(status="open"),
                name="case_open",
            ),
        ),
        migrations.AddIndex(
            "dispute",
            models.Index(
                models.F("evidence_due_by"),
                condition=models.Q(status__in=["needs_response", "warning_needs_response"]),
                name="dispute_unanswered",
            ),
        ),
        migrations.AddIndex(
            "webhookendpoint",
            models.Index(
                models.F("failing_since"),
                condition=models.Q(failing_since__isnull=False, status="enabled"),
                name="endpoint_failing",
            ),
        ),
    ]
