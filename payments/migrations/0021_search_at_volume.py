"""Indexes by currency, by customer and inside texts, made without blocking payments.

An attempt that was interrupted leaves an invalid index: drop it, then migrate again.
"""

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models

from ledger.database.guards import run_sql_file

# A short pending list: a customer costs few writes, and none waits long for its merge.
_TEXTS = """
CREATE INDEX CONCURRENTLY customer_texts ON payments_customer USING gin (
    payments_text_parts(merchant_id, livemode, name),
    payments_text_parts(merchant_id, livemode, email),
    payments_text_parts(merchant_id, livemode, phone)
) WITH (fastupdate = on, gin_pending_list_limit = 256)"""
_AMOUNT = ("merchant", "livemode", "currency", "amount_minor")
_OWN_AMOUNT = models.Q(
    kind="authorize", status__in=["CANCELED", "DECLINED", "EXCESS", "NOT_SENT", "REVERSED"]
)


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("payments", "0020_purchase_details")]

    operations = [
        run_sql_file("payments", "text_parts"),
        migrations.RunSQL(_TEXTS, "DROP INDEX CONCURRENTLY customer_texts"),
        AddIndexConcurrently(
            "paymentintent", models.Index(*_AMOUNT, name="intent_currency_amount")
        ),
        RemoveIndexConcurrently("paymentintent", "intent_amount"),
        AddIndexConcurrently(
            "operation",
            models.Index(*_AMOUNT, name="charge_own_currency_amount", condition=_OWN_AMOUNT),
        ),
        RemoveIndexConcurrently("operation", "charge_without_success_amount"),
        AddIndexConcurrently(
            "paymentintent",
            models.Index("merchant", "livemode", "customer", name="intent_customer"),
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    "DROP INDEX CONCURRENTLY IF EXISTS payments_payment_intent_customer_id_dfdf90e4"
                )
            ],
            state_operations=[
                migrations.AlterField(
                    "paymentintent",
                    "customer",
                    models.ForeignKey(
                        "payments.customer",
                        on_delete=models.PROTECT,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        blank=True,
                    ),
                )
            ],
        ),
    ]
