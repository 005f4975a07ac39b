"""Adopts a PSP's snapshot of a payment: our books, rows and events become what the PSP shows.

What a charge holds, took and gave back is the balance of its ledger accounts. An adoption posts the
difference between that and the snapshot; status, counters and order guard follow. So the order in
which results are heard does not matter, nor how often they are heard.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import transaction

from ledger.database.statements import Batch
from ledger.money import Money
from payments.clock import now_utc
from payments.models import Merchant, Operation, PaymentIntent
from payments.services import callers
from payments.services.callers.caller import Caller
from payments.services.cases.opening import case_about_operation, open_case
from payments.services.outcomes.change import OPERATION_FIELDS, Change, put_change
from payments.services.outcomes.check_schedule import schedule_check
from payments.services.outcomes.late_and_external.application import apply_difference
from payments.services.outcomes.late_and_external.changes_of_hold import book_changes_anew
from payments.services.outcomes.late_and_external.charge_books import ChargeBooks
from payments.services.outcomes.late_and_external.differences import (
    Objection,
    SnapshotIncomplete,
    compare,
)
from payments.services.outcomes.late_and_external.external_operations import (
    ACTOR,
    object_to_ids_of_others,
)
from payments.services.outcomes.late_and_external.hold import (
    balance_hold,
    hold_expired,
    why_hold_cannot_count,
)
from payments.services.outcomes.late_and_external.intent_state import (
    set_counters,
    set_order_guard,
    set_status,
)
from payments.services.outcomes.late_and_external.locked_payment import LockedPayment
from payments.states import CaseKind, IntentStatus, OperationStatus
from psp_adapters.contract.payments import PspPayment

EXPIRY_ACTOR: Final = "psp:expiry"
CONFIRM_AFTER_SECONDS: Final = 2.0
"""After an adoption the PSP is looked up once more: even that snapshot may have been stale."""
CHANGES_UNTIL_SLOW: Final = 8
"""From so many late outcomes of one operation on, the next look-ups come later and later."""

Version = frozenset[tuple[UUID, str, int]]
"""Every operation of a payment with its status and the number of its late outcomes."""


class Overtaken(Exception):
    """Something was recorded since the snapshot was taken, or its lease passed on."""


@dataclass(frozen=True, slots=True)
class Adopted:
    """What an adoption did."""

    changed: int
    """How many operations were recorded anew or revised; 1 if only the hold changed."""
    objections: list[Objection]
    """What the PSP shows and could not be booked; a case is open for each."""
    undecided: Operation | None
    """A closed operation of ours that the PSP shows as not decided yet, if there is one."""


@dataclass(frozen=True, slots=True)
class _Before:
    """What the intent was before an adoption."""

    status: IntentStatus
    held_minor: int
    excess_minor: int
    excess_returned_minor: int

    @classmethod
    def of(cls, payment: LockedPayment) -> _Before:
        intent = payment.intent
        return cls(
            status=IntentStatus(intent.status),
            held_minor=intent.amount_held_minor,
            excess_minor=intent.amount_excess_minor,
            excess_returned_minor=payment.charge.excess_returned_minor,
        )


def version_of(intent_id: UUID) -> Version:
    """What is recorded of a payment, to be compared before a snapshot of it is adopted."""
    rows = Operation.objects.filter(intent_id=intent_id)
    return frozenset(rows.values_list("id", "status", "revisions"))


def adopt_payment(
    charge_id: UUID, seen: PspPayment, *, lease: datetime, version: Version, actor: str
) -> Adopted:
    """Adopt the snapshot of a charge's payment, in one transaction; a repeat changes nothing.

    `lease` is the charge's lease under which the snapshot was taken, and `version` what was
    recorded before that. Raises Overtaken, having written nothing, if either is another one by now;
    SnapshotIncomplete if the snapshot lacks what we know to have happened. Each operation that
    cannot be booked has a case, and the others are booked all the same.
    """
    with transaction.atomic(durable=True):
        payment = _lock(charge_id, seen)
        _require_present(payment, lease, version)
        found = compare(payment.charge, payment.operations, seen)
        object_to_ids_of_others(payment.charge, found)
        before = _Before.of(payment)
        for difference in found.differences:
            apply_difference(payment, difference)
        book_changes_anew(payment)
        is_same_money = seen.held.currency == payment.charge.currency
        if is_same_money and not payment.charge.is_open:
            # An open charge holds nothing by our books: its own result is recorded first.
            if why := why_hold_cannot_count(payment):
                found.objections.append(Objection(payment.charge, why))
            else:
                balance_hold(payment)
        if payment.changes:
            _settle(payment, before)
        for objection in found.objections:
            about = objection.operation
            open_case(case_about_operation(CaseKind.CONTRADICTION, about, f"{objection.why}."))
        _write(payment, actor, undecided=found.undecided is not None)
    return Adopted(
        changed=len(payment.changes), objections=found.objections, undecided=found.undecided
    )


def _lock(charge_id: UUID, seen: PspPayment) -> LockedPayment:
    """Lock intent, then its operations; all stay locked until the transaction ends."""
    intent_id = Operation.objects.values_list("intent_id", flat=True).get(pk=charge_id)
    intent = PaymentIntent.objects.select_for_update().get(pk=intent_id)
    operations = list(Operation.objects.select_for_update().filter(intent=intent).order_by("id"))
    charge = next(each for each in operations if each.id == charge_id)
    if not charge.psp_payment_id:
        charge.psp_payment_id = seen.psp_payment_id
    books = ChargeBooks(charge, operations)
    return LockedPayment(
        merchant=Merchant.objects.get(pk=intent.merchant_id),
        intent=intent,
        charge=charge,
        operations=operations,
        seen=seen,
        books=books,
        is_duplicate=charge.status == OperationStatus.EXCESS or books.is_duplicate(),
    )


def _require_present(payment: LockedPayment, lease: datetime, version: Version) -> None:
    if payment.charge.lease_until != lease:
        raise Overtaken("another look-up of the payment has begun")
    present = frozenset((o.id, o.status, o.revisions) for o in payment.operations)
    if present != version:
        raise Overtaken("the payment was changed while the provider was asked")


def _settle(payment: LockedPayment, before: _Before) -> None:
    """What follows from the amounts, once every difference is booked."""
    set_counters(payment)
    last = payment.changes[-1]
    _emit_of_charge(payment, last, before)
    set_status(payment, last, held_before_minor=before.held_minor)
    set_order_guard(payment)
    _note_surprises(payment, before)
    _add_remarks(payment)


def _emit_of_charge(payment: LockedPayment, last: Change, before: _Before) -> None:
    """Emit what a merchant sees of the charge beside the events of its operations."""
    intent = payment.intent
    released = payment.is_duplicate or intent.amount_held_minor < before.held_minor
    expired = last.source_type and released and hold_expired(payment)
    if expired and not intent.amount_captured_minor:
        last.emit("charge.expired", "charge")
    elif not any(shown == "charge" for change in payment.changes for _, shown in change.emitted):
        last.emit("charge.updated", "charge")


def _note_surprises(payment: LockedPayment, before: _Before) -> None:
    """Note for an operator what the merchant could not expect: excess, and money after the end."""
    intent = payment.intent
    excess_minor = intent.amount_excess_minor - before.excess_minor
    if payment.is_duplicate:
        charge = payment.charge
        excess_minor = charge.excess_returned_minor - max(
            charge.excess_minor, before.excess_returned_minor
        )
    if excess_minor > 0:
        payment.excess = Money(excess_minor, payment.charge.currency)
        payment.remarks.append(f"The provider moved {payment.excess} more than there was.")
    reopened = before.status is IntentStatus.CANCELED and intent.status != before.status
    if reopened and not payment.quiet:
        amount = Money(intent.amount_captured_minor + intent.amount_held_minor, intent.currency)
        payment.remarks.append(f"{amount} is held or captured of a payment that was canceled.")


def _add_remarks(payment: LockedPayment) -> None:
    """Add what the cases of the operations do not say; with a case of its own if there is none."""
    if not payment.remarks:
        return
    remark = " ".join(payment.remarks)
    cases = [case for change in payment.changes for case in change.cases]
    if cases:
        cases[0].summary = f"{cases[0].summary} {remark}"[:500]
        return
    about = [c for c in payment.changes if not c.source_type] or payment.changes
    payment.open_case(about[-1], CaseKind.EXTERNAL_OPERATION, remark, amount=payment.excess)


def _write(payment: LockedPayment, actor: str, *, undecided: bool) -> None:
    """Write rows, postings, events and cases; end the look-ups that this snapshot answers."""
    intent, charge = payment.intent, payment.charge
    _note_end_of_hold(payment)
    batch = Batch()
    for operation in payment.operations:
        answered = charge.id in (operation.id, operation.charge_id) and not operation.is_open
        if answered and operation.next_check_at is not None:
            operation.next_check_at = None
            batch.update(operation, OPERATION_FIELDS)
    charge.lease_until = now_utc()
    if undecided:
        schedule_check(charge)
    elif payment.changes and not charge.is_open:
        _confirm_later(payment)
    for change in payment.changes:
        put_change(batch, change, _caller_of(payment, change, actor))
    batch.update(charge, OPERATION_FIELDS)
    counting = payment.counting_charge
    if payment.changes and counting is not None and counting is not charge:
        batch.update(counting, ("guard_order", "guards_order"))
    if not payment.changes:
        batch.update(intent, ("authorization_expires_at", "updated_at"))
    batch.execute()


def _confirm_later(payment: LockedPayment) -> None:
    """Have the payment looked up once more, later and later if the PSP goes back and forth."""
    charge = payment.charge
    changed = payment.books.holds_adjusted()
    for operation in payment.operations:
        if charge.id in (operation.id, operation.charge_id):
            changed = max(changed, operation.revisions)
    charge.checks = 0
    if changed < CHANGES_UNTIL_SLOW:
        charge.next_check_at = charge.lease_until + timedelta(seconds=CONFIRM_AFTER_SECONDS)
        return
    charge.checks = changed - CHANGES_UNTIL_SLOW
    schedule_check(charge)
    summary = f"The provider has changed {changed} times what it says of this payment."
    open_case(case_about_operation(CaseKind.CONTRADICTION, charge, summary))


def _note_end_of_hold(payment: LockedPayment) -> None:
    """Keep until when the PSP holds the payment's own hold."""
    intent, seen = payment.intent, payment.seen
    if payment.charge.id == intent.latest_charge_id and seen.expires_at and seen.held:
        intent.authorization_expires_at = seen.expires_at


def _caller_of(payment: LockedPayment, change: Change, actor: str) -> Caller:
    """Events name the request of an operation of ours, or that the PSP did it."""
    if change.source_type and hold_expired(payment):
        return callers.for_intent(payment.intent, EXPIRY_ACTOR)
    if change.operation.actor == ACTOR:
        return callers.for_intent(payment.intent, ACTOR)
    return callers.for_operation(change.operation, actor)


__all__ = ["Adopted", "Overtaken", "SnapshotIncomplete", "adopt_payment", "version_of"]
