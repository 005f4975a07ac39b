"""Derives a payment's status and counters from its books and operations.

`late_and_external` sets them by these functions, and verification compares with them. First
results move them step by step (`effects`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from django.db.models import Sum

from payments.models import Operation, Refund
from payments.states import (
    OPERATION_OPEN,
    OPERATION_OUTCOME_UNKNOWN,
    IntentStatus,
    OperationStatus,
    RefundStatus,
)
from psp_adapters.contract.operations import OperationKind

EXPIRED_REASON: Final = "expired"
"""The `cancellation_reason` of a payment whose authorization expired."""
EXPIRED_CODE: Final = "charge_expired_for_capture"
"""With this code a capture or void is refused that came too late."""
_ON_HOLD: Final = (OperationKind.CAPTURE, OperationKind.INCREMENT)
_BEFORE_ANY_CHARGE: Final = frozenset(
    {IntentStatus.INITIATED, IntentStatus.FAILED, IntentStatus.CANCELED}
)
"""These leave no trace at the PSP and in the books, and so cannot be told apart there."""
_RESERVED: Final = OPERATION_OUTCOME_UNKNOWN | {OperationStatus.PENDING}


@dataclass(frozen=True, slots=True)
class RefundSums:
    """The payment's own refunds, in minor units of one currency."""

    refunded_minor: int
    pending_minor: int
    """Accepted by the PSP and not made: in the books already."""
    reserved_minor: int
    """Requested and undecided, the pending ones included."""


def own_operations(operations: Iterable[Operation]) -> list[Operation]:
    """The operations that count for the payment: no duplicate charge, nor changes of one.

    A duplicate charge that the PSP reversed is still one while anything of it is left.
    """
    operations = list(operations)
    duplicates = [
        o
        for o in operations
        if o.status == OperationStatus.EXCESS or (o.is_charge and o.excess_minor)
    ]
    return [
        o
        for o in operations
        if o not in duplicates
        and not o.gives_excess_back
        and not any(o.charge_id == each.id and o.kind in _ON_HOLD for each in duplicates)
    ]


def refund_sums(own: Iterable[Operation], currency: str) -> RefundSums:
    """Sums the refunds among a payment's own operations."""
    refunds = [o for o in own if o.kind == OperationKind.REFUND and o.currency == currency]

    def total(statuses: Iterable[str]) -> int:
        return sum(o.amount_minor for o in refunds if o.status in statuses)

    return RefundSums(
        refunded_minor=total({OperationStatus.SUCCEEDED}),
        pending_minor=total({OperationStatus.PENDING}),
        reserved_minor=total(_RESERVED),
    )


def waiting_refunds_minor(intent_ids: Collection[UUID]) -> dict[UUID, int]:
    """By payment, what is reserved for refunds that wait for approval: they have no operation."""
    waiting = Refund.objects.filter(
        intent_id__in=intent_ids, operation=None, status=RefundStatus.PENDING
    )
    sums = waiting.values_list("intent_id").annotate(minor=Sum("amount_minor"))
    return {intent_id: int(minor) for intent_id, minor in sums.order_by()}


def asked_to_hold_minor(own: Iterable[Operation], currency: str) -> int:
    """What successful charges and increments were about; more was never asked to be held."""
    kinds = (OperationKind.AUTHORIZE, OperationKind.INCREMENT)
    return sum(
        o.amount_minor
        for o in own
        if o.kind in kinds and o.currency == currency and o.status == OperationStatus.SUCCEEDED
    )


def excess_minor(
    operations: Sequence[Operation],
    currency: str,
    *,
    authorized_minor: int,
    over_refunded_minor: int,
) -> int:
    """What the PSP moved beyond what was asked: duplicate charges, captures and refunds."""
    duplicates_minor = sum(
        o.excess_minor for o in operations if o.is_charge and o.currency == currency
    )
    asked_minor = asked_to_hold_minor(own_operations(operations), currency)
    return duplicates_minor + authorized_minor - asked_minor + over_refunded_minor


def status_under_way(own: Iterable[Operation]) -> IntentStatus | None:
    """The status while a charge or change is open; None if none is. Refunds leave it alone."""
    changes = [o for o in own if o.status in OPERATION_OPEN and o.kind != OperationKind.REFUND]
    if not changes:
        return None
    if all(o.status == OperationStatus.REQUIRES_ACTION for o in changes):
        return IntentStatus.REQUIRES_ACTION
    return IntentStatus.PROCESSING


def status_by_amounts(
    *, held_minor: int, captured_minor: int, refunded_minor: int
) -> IntentStatus | None:
    """The status of a payment with nothing under way; None if nothing is held or captured."""
    if held_minor:
        return IntentStatus.AUTHORIZED
    if not captured_minor:
        return None
    if refunded_minor >= captured_minor:
        return IntentStatus.REFUNDED  # A dashboard may have given back more than was taken.
    return IntentStatus.PARTIALLY_REFUNDED if refunded_minor else IntentStatus.CAPTURED


def statuses_with_nothing_left(
    own: Iterable[Operation], *, latest_charge_id: UUID | None
) -> frozenset[IntentStatus]:
    """The statuses for a payment of which nothing is held or taken, by its latest charge.

    That is the one begun last, or an earlier one that has counted since. Any status before a charge
    is possible if it became a duplicate.
    """
    operations = list(own)
    latest = next((o for o in operations if o.id == latest_charge_id), None)
    last = latest.status if latest is not None else OperationStatus.NOT_SENT
    done = OperationStatus.SUCCEEDED
    ended = {o.charge_id for o in operations if o.ends_challenge and o.status == done}
    if last != done and latest_charge_id in ended:
        return _BEFORE_ANY_CHARGE
    if last == OperationStatus.CANCELED:
        return frozenset({IntentStatus.CANCELED})
    if last in (OperationStatus.DECLINED, OperationStatus.REVERSED):
        return frozenset({IntentStatus.FAILED, IntentStatus.CANCELED})
    if last == done:
        was_reversed = any(o.status == OperationStatus.REVERSED for o in operations)
        failed = {IntentStatus.FAILED} if was_reversed else set()
        return frozenset({IntentStatus.CANCELED, *failed})
    return _BEFORE_ANY_CHARGE
