"""Indexes by currency and amount hold ids: a search finds the newest of many rows in them alone.

Made without blocking payments. An attempt that was interrupted leaves an invalid index: drop it,
then migrate again.
"""

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models

_AMOUNT = ("merchant", "livemode", "currency", "amount_minor", "id")
_OWN_AMOUNT = ("CANCELED", "DECLINED", "EXCESS", "NOT_SENT", "REVERSED")


def _replaced(
    model: str, old: str, new: models.Index
) -> list[AddIndexConcurrently | RemoveIndexConcurrently]:
    return [AddIndexConcurrently(model, new), RemoveIndexConcurrently(model, old)]


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("payments", "0031_months")]

    operations = [
        *_replaced(
            "paymentintent",
            "intent_currency_amount",
            models.Index(*_AMOUNT, name="intent_currency_amount_id"),
        ),
        *_replaced(
            "operation",
            "charge_own_currency_amount",
            models.Index(
                *_AMOUNT,
                name="charge_own_currency_amount_id",
                condition=models.Q(kind="authorize", status__in=_OWN_AMOUNT),
            ),
        ),
    ]
