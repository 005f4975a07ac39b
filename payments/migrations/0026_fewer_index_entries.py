"""A payment writes fewer index entries.

Indexes that lists are read by backwards are ascending: new ids go to the end of a merchant's
entries, so pages are filled before they are split. Rows without the value that an index is for are
left out. An attempt that was interrupted leaves an invalid index: drop it, then migrate again.
"""

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models

_LAST4 = """
CREATE INDEX CONCURRENTLY {name} ON payments_operation (
    merchant_id, livemode, (payment_method_details -> 'card' ->> 'last4')
) WHERE kind = 'authorize'{and_closed}"""
_OF_MERCHANT = ("merchant", "livemode", "id")

# Room for the version that an outcome makes of a row: in the same page PostgreSQL logs what
# changed, and elsewhere the whole row. An answer makes a key's row six times as long.
_FILLED = [
    migrations.RunSQL(
        f"ALTER TABLE {table} SET (fillfactor = {percent})",
        f"ALTER TABLE {table} RESET (fillfactor)",
    )
    for table, percent in (
        ("payments_operation", 70),
        ("payments_payment_intent", 85),
        ("payments_idempotency_key", 20),
    )
]


def _replaced(
    model: str, old: str, new: models.Index
) -> list[AddIndexConcurrently | RemoveIndexConcurrently]:
    return [AddIndexConcurrently(model, new), RemoveIndexConcurrently(model, old)]


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("payments", "0025_results_of_notifications")]

    operations = [
        *_replaced("event", "event_newest", models.Index(*_OF_MERCHANT, name="event_by_id")),
        *_replaced(
            "event",
            "event_type_newest",
            models.Index(
                *("merchant", "type", "id"),
                name="event_of_rare_type",
                condition=~models.Q(
                    type__in=[
                        "charge.succeeded",
                        "payment_intent.created",
                        "payment_intent.succeeded",
                    ]
                ),
            ),
        ),
        *_replaced(
            "paymentintent", "intent_newest", models.Index(*_OF_MERCHANT, name="intent_by_id")
        ),
        *_replaced(
            "operation",
            "charge_newest",
            models.Index(*_OF_MERCHANT, name="charge_by_id", condition=models.Q(kind="authorize")),
        ),
        *_replaced(
            "paymentmethod", "method_newest", models.Index(*_OF_MERCHANT, name="method_by_id")
        ),
        AddIndexConcurrently(
            "paymentmethod",
            models.Index(
                "customer", name="method_customer", condition=models.Q(customer__isnull=False)
            ),
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    "DROP INDEX CONCURRENTLY IF EXISTS payments_payment_method_customer_id_ad2aa362"
                )
            ],
            state_operations=[
                migrations.AlterField(
                    "paymentmethod",
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
        migrations.RunSQL(
            _LAST4.format(name="charge_closed_last4", and_closed=" AND next_check_at IS NULL"),
            "DROP INDEX CONCURRENTLY charge_closed_last4",
        ),
        *_FILLED,
        migrations.RunSQL(
            "DROP INDEX CONCURRENTLY charge_last4",
            _LAST4.format(name="charge_last4", and_closed=""),
        ),
    ]
