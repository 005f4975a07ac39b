from django.db import migrations, models

# What operations that are there already would have kept.
KEPT = """
UPDATE payments_operation o SET latest_dispute_id = d.id
  FROM (SELECT DISTINCT ON (charge_id) charge_id, id FROM payments_dispute
         ORDER BY charge_id, id DESC) d
 WHERE o.id = d.charge_id;
UPDATE payments_operation o SET failure_balance_transaction_id = t.id
  FROM (SELECT DISTINCT ON (source_id) source_id, id FROM ledger_transaction
         WHERE rule IN ('reversal_of_captured', 'refund_failed', 'reversal_of_excess_captured',
                        'excess_refund_failed')
           AND source_type LIKE 'operation%'
         ORDER BY source_id, id DESC) t
 WHERE o.id = t.source_id;
"""
# As in 0010, but of the charge that is refunded: what a bank took of a charge too many, or of one
# that was taken back, is another matter. The intent is locked, so its disputes stand still.
REFUNDS = """
CREATE OR REPLACE FUNCTION payments_refuse_refund_of_disputed() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public AS $$
BEGIN
    IF EXISTS (SELECT FROM payments_merchant m WHERE m.id = NEW.merchant_id
                  AND m.disputed_refund_policy <> 'flag')
       AND EXISTS (SELECT FROM payments_dispute d WHERE d.charge_id = NEW.latest_charge_id
                      AND d.status IN ('needs_response', 'under_review', 'lost')) THEN
        RAISE EXCEPTION 'refund_of_disputed: the charge of payment % was charged back', NEW.id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
"""
REFUNDS_BEFORE = """
CREATE OR REPLACE FUNCTION payments_refuse_refund_of_disputed() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public AS $$
BEGIN
    IF EXISTS (SELECT FROM payments_merchant m WHERE m.id = NEW.merchant_id
                  AND m.disputed_refund_policy <> 'flag') THEN
        RAISE EXCEPTION 'refund_of_disputed: payment % was charged back', NEW.id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('ledger', '0005_dispute_accounts'),
        ('payments', '0011_books_check'),
    ]

    operations = [
        migrations.AddField(
            model_name='operation',
            name='failure_balance_transaction_id',
            field=models.UUIDField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='operation',
            name='latest_dispute_id',
            field=models.UUIDField(blank=True, null=True),
        ),
        migrations.RunSQL(KEPT, migrations.RunSQL.noop),
        migrations.RunSQL(REFUNDS, REFUNDS_BEFORE),
    ]
