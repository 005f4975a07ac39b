"""A merchant uses live accounts in live mode and test accounts in test mode."""

from django.db import migrations

from ledger.database.guards import run_sql_file

_REFUSE_OTHER_MODES = """
DO $$ BEGIN
    IF EXISTS (
        SELECT FROM payments_merchant m JOIN payments_psp_account a
            ON a.id = m.live_psp_account_id AND NOT a.livemode
            OR a.id = m.test_psp_account_id AND a.livemode
    ) THEN
        RAISE EXCEPTION 'a merchant uses a PSP account in the wrong mode: '
            'give it another account with manage.py merchant, then migrate again';
    END IF;
END $$"""


class Migration(migrations.Migration):
    dependencies = [("payments", "0008_keys_and_accounts_stay")]

    operations = [
        migrations.RunSQL(_REFUSE_OTHER_MODES, migrations.RunSQL.noop),
        run_sql_file("payments", "merchants_use_accounts_of_the_mode"),
    ]
