"""A payment may be charged at one PSP account after another; PostgreSQL keeps them apart."""

from django.db import migrations

from ledger.database.guards import permanent_columns, run_sql_file
from payments import states


class Migration(migrations.Migration):
    dependencies = [
        ("payments", "0007_routing"),
    ]

    operations = [
        permanent_columns(
            "payments_payment_intent",
            "id merchant_id livemode client_secret confirmation_method checkout_session_id "
            "created_at",
        ),
        run_sql_file(
            "payments",
            "charges_are_at_one_account_at_a_time",
            blocking=", ".join(f"'{status}'" for status in sorted(states.BLOCKING_CHARGE)),
        ),
    ]
