"""Ends a charge that certainly was not made, and begins the next one at another PSP account.

All of it in the transaction that records how the first one ended: after a crash a payment has the
one charge or the other, and is never between the two. The payment stays in processing, under the
same idempotency key, and its order stays occupied.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from django.db import models

from ledger.database.statements import Batch
from payments.clock import now_utc
from payments.models import IdempotencyKey, Operation
from payments.services.callers.caller import Caller
from payments.services.idempotency import keys
from payments.services.outcomes.change import Change, put_change
from payments.states import IntentStatus, OperationStatus
from psp_adapters.contract.operations import Outcome

_NOT_SENT: Final = "The payment did not reach this provider. It went to another one."


@dataclass(frozen=True, slots=True, kw_only=True)
class NextCharge:
    """An unsaved charge at another account, and the unsaved rows that belong to it."""

    charge: Operation
    rows: tuple[models.Model, ...]


ChargeElsewhere = Callable[[Change], NextCharge | None]
"""Makes the next charge of a locked payment; None if there is no account for it."""


def may_be_charged_elsewhere(change: Change, key: IdempotencyKey | None) -> bool:
    """May the payment be charged at another account, now that this charge ended so?

    Only after the first answer to a request that was sent once: what was unknown for a moment is
    never charged again, however it ended. The sender must hold its lease.
    """
    operation, intent = change.operation, change.intent
    lost_its_key = operation.idempotency_id is not None and key is None
    return (
        change.result.may_be_charged_elsewhere
        and not change.result.also_found
        and operation.is_charge
        and operation.status == OperationStatus.SENDING
        and operation.resent_at is operation.fenced_at is None
        and not lost_its_key
        and intent.status == IntentStatus.PROCESSING
        and intent.latest_charge_id == operation.id
    )


def move_on(
    change: Change, following: NextCharge, key: IdempotencyKey | None, caller: Caller
) -> None:
    """End the charge of the change, and write the following one; all rows must be locked.

    The merchant is told of the charge that failed, and not of the payment: it goes on.
    """
    charge = following.charge
    charge.guard_order = change.operation.guard_order
    _end(change)
    change.intent.name_charge(charge.id, psp_account_id=charge.psp_account_id)
    change.intent.payment_method_id = charge.payment_method_id
    # One after the other: PostgreSQL allows one open charge, and an order one that occupies it.
    ended = Batch()
    put_change(ended, change, caller)
    ended.execute()
    begun = Batch()
    for row in following.rows:
        begun.insert(row)
    begun.insert(charge)
    if key is not None:
        keys.pass_on(begun, key, operation_id=charge.id)
    begun.execute()


def _end(change: Change) -> None:
    operation, result = change.operation, change.result
    if result.outcome is Outcome.DECLINED:
        operation.decline()
        operation.code = result.code or "card_declined"
        operation.message = (result.message or "The payment was declined.")[:500]
    else:
        operation.drop()
        operation.code, operation.message = "processing_error", _NOT_SENT
    operation.decline_code = result.decline_code
    operation.psp_id = result.psp_id or operation.psp_id
    operation.psp_payment_id = result.psp_payment_id or operation.psp_payment_id
    operation.detail = result.detail[:500] or operation.detail
    operation.guard_order = None
    operation.closed_at = operation.lease_until = now_utc()
    operation.next_check_at = None
    change.emit("charge.failed", "charge")
