"""Keeps a payment method for later payments, once a setup or a payment has made it usable.

Lock order: what succeeded, then customer, then payment method.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

from ledger.database.statements import Batch
from payments.clock import now_utc
from payments.objects.payment_method import payment_method_object
from payments.selectors.customers import customers, payment_methods
from payments.services.callers.caller import Caller
from payments.services.outbox.events import EventDraft, events_of, previous_attributes

_KEPT: Final = ("customer", "network_transaction_id", "stored_token", "event_seq", "updated_at")


def keep_method(
    batch: Batch,
    *,
    method_id: UUID,
    customer_id: UUID | None,
    network_transaction_id: str,
    stored_token: str,
    caller: Caller,
) -> bool:
    """Attach the method to the customer, if there is one, and keep what charges it later.

    Returns False, with nothing written, if that became impossible meanwhile: the customer was
    deleted, or the method detached or attached to another customer.
    """
    if customer_id is not None:
        locked = customers(caller.scope).select_for_update().filter(pk=customer_id)
        if locked.first() is None:
            return False
    method = payment_methods(caller.scope).select_for_update().get(pk=method_id)
    if method.detached_at is not None or method.customer_id not in (None, customer_id):
        return False
    before = payment_method_object(method)
    method.customer_id = customer_id
    method.network_transaction_id = network_transaction_id or method.network_transaction_id
    method.stored_token = stored_token or method.stored_token
    method.updated_at = now_utc()
    after = payment_method_object(method)
    if previous := previous_attributes(before, after):
        draft = EventDraft("payment_method.attached", after, previous)
        batch.insert(*events_of(method, [draft], caller))
    batch.update(method, _KEPT)
    return True
