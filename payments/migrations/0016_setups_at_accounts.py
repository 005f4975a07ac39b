"""A setup goes to the PSP account of its payment method, which need not be the merchant's own."""

from django.db import migrations

from ledger.database.guards import permanent_columns, run_sql_file
from payments import states


class Migration(migrations.Migration):
    dependencies = [
        ("payments", "0015_mandates"),
    ]

    operations = [
        permanent_columns(
            "payments_setup_intent",
            "id merchant_id livemode client_secret usage checkout_session_id created_at",
        ),
        run_sql_file(
            "payments",
            "setups_are_at_the_account_of_their_method",
            blocking=", ".join(
                f"'{status}'"
                for status in sorted(
                    states.SETUP_ATTEMPT_OPEN | {states.SetupAttemptStatus.SUCCEEDED}
                )
            ),
        ),
    ]
