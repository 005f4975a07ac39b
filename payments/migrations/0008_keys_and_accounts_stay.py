"""What an API key is never changes, a key that has ended stays ended, and accounts keep their mode."""

from django.db import migrations

from ledger.database.guards import permanent_columns, run_sql_file


class Migration(migrations.Migration):
    dependencies = [("payments", "0007_customer_details")]

    operations = [
        permanent_columns(
            "payments_api_key", "id merchant_id livemode secret_sha256 last4 created_at"
        ),
        permanent_columns("payments_psp_account", "id livemode created_at"),
        run_sql_file("payments", "revoked_keys_stay_revoked"),
    ]
