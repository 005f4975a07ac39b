"""Amounts are divisible in their currency; ISK, UGX and MGA are written as on the merchant API."""

from django.db import migrations

from ledger.database.guards import run_sql_file

_REFUSE_OTHER_UNITS = """
DO $$ BEGIN
    IF EXISTS (SELECT FROM payments_payment_intent WHERE currency IN ('ISK', 'UGX', 'MGA')) THEN
        RAISE EXCEPTION 'this database has payments in ISK, UGX or MGA, whose minor units changed: '
            'make a new database';
    END IF;
END $$"""
# Every payment was stored as one by card, and any method could pay it. Types are enforced now.
_ALL_TYPES = """
    UPDATE payments_payment_intent
       SET payment_method_types = '["card", "us_bank_account", "sepa_debit"]'
     WHERE payment_method_types = '["card"]' AND status IN ('INITIATED', 'FAILED')"""


class Migration(migrations.Migration):
    dependencies = [("payments", "0005_order_guards")]

    operations = [
        migrations.RunSQL(_REFUSE_OTHER_UNITS, migrations.RunSQL.noop),
        migrations.RunSQL(_ALL_TYPES, migrations.RunSQL.noop),
        migrations.RunSQL("SET CONSTRAINTS ALL IMMEDIATE", migrations.RunSQL.noop),
        run_sql_file("payments", "amounts_are_divisible_in_their_currency"),
    ]
