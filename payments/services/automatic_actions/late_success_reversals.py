"""Giving back what came too late: charges that succeeded after the payment was over.

Driven by `reverse_at` of the charge alone: whoever leases it begins an ordinary void or refund, or
finds that one is under way or done. What is begun is checked under the intent's lock, and recovery
owns it from then on; so a sweep may be killed anywhere, and several may run at once. What may not
live here: deciding what goes back (the late word did), what an outcome causes.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from ledger.database.statements import Batch
from payments import public_ids
from payments.clock import now_utc
from payments.exceptions import PaymentRefused, PspNotReached
from payments.models import Operation, PaymentIntent
from payments.objects.refund import refund_object
from payments.services import callers, commands
from payments.services.callers.caller import Answer, Caller, Subject
from payments.services.cases.opening import case_about_operation, open_case
from payments.services.commands.refund import new_refund
from payments.services.commands.run import locked_intent
from payments.services.jobs.due_queue import DueQueue, Handled, run_sweep
from payments.services.operations.creation import new_operation
from payments.services.operations.execution import carry_out
from payments.services.outbox.events import EventDraft, events_of
from payments.services.outcomes.duplicate_charges import excess_left
from payments.services.psp_gateway.queries import Inconclusive
from payments.services.recovery.operation_sync import Conflict
from payments.services.recovery.payment_sync import sync_payment
from payments.states import (
    OPERATION_IN_DOUBT,
    OPERATION_OPEN,
    CaseKind,
    DisputeStatus,
    IntentStatus,
)
from payments.states import OperationStatus as O
from psp_adapters.contract.operations import OperationKind

logger = logging.getLogger(__name__)

ACTOR: Final = "job:late-success"
SWEEP_LIMIT: Final = 50
SWEEP_SECONDS: Final = 10.0
LEASE: Final = timedelta(seconds=60)
"""Longer than a call to the PSP; a refused attempt is repeated after twice as long each time."""
QUEUE: Final = DueQueue(
    Operation.objects.all(), due="reverse_at", lease=LEASE, account="psp_account_id"
)
_CHANGES: Final = [OperationKind.CAPTURE, OperationKind.INCREMENT, OperationKind.VOID]
ATTEMPTS_MAX: Final = 8
"""Refused so often (over about four hours), it is a person's to give back."""
_CHARGED_BACK: Final = frozenset(
    {DisputeStatus.NEEDS_RESPONSE, DisputeStatus.UNDER_REVIEW, DisputeStatus.LOST}
)
_DISPUTE_WAIT: Final = timedelta(hours=1)
"""Disputes take weeks: how often to look whether one is over."""


def reverse_due_charges(*, limit: int = SWEEP_LIMIT) -> int:
    """Give back the charges that are due; returns how many were taken.

    Bounded in number and time. Safe to repeat, and several workers may run it at once.
    """
    return run_sweep(QUEUE, _reverse_due, most=limit, seconds=SWEEP_SECONDS)


def _reverse_due(charge: Operation) -> Handled:
    try:
        answered = _reverse(charge)
    except PspNotReached as reason:
        answered = False
        logger.info("charge %s is not given back yet: %s", charge.id, reason)
    except PaymentRefused as refusal:
        answered = True
        logger.info("charge %s is not given back yet: %s", charge.id, refusal)
    return Handled.ANSWERED if answered else Handled.NO_ANSWER


def _reverse(charge: Operation) -> bool:
    """Begin what gives it back, unless that is done or under way; False if the PSP was silent."""
    caller = callers.for_operation(charge, ACTOR)
    if _attempts_refused(charge) and not _look_who_else_did_it(charge):
        return False
    if _conclude(caller, charge):
        return True
    outcome = _Outcome()
    if charge.status == O.EXCESS:
        operation = _begin_for_excess(caller, charge.id)
        if operation is not None:
            carry_out(operation, caller, outcome)
    elif charge.capture_now:
        commands.refund_payment(caller=caller, renderer=outcome, intent_id=charge.intent_id)
    else:
        commands.cancel_payment(caller=caller, renderer=outcome, intent_id=charge.intent_id)
    return outcome.status not in OPERATION_IN_DOUBT


class _Outcome:
    """In place of an answer, which nobody reads: where the operation stands now."""

    def __init__(self) -> None:
        self.status = ""

    def __call__(self, subject: Subject, caller: Caller) -> Answer:
        if subject.operation is not None:
            self.status = subject.operation.status
        return Answer(status=200, body="{}")


def _look_who_else_did_it(charge: Operation) -> bool:
    """What is refused may have been done by somebody at the PSP, whose notice was lost.

    False if the PSP gave no answer.
    """
    try:
        sync_payment(charge.id, actor=ACTOR)
    except (Inconclusive, Conflict) as reason:
        logger.info("charge %s was refused to be given back, and: %s", charge.public_id, reason)
        return not (isinstance(reason, Inconclusive) and reason.is_unanswered)
    return True


def _conclude(caller: Caller, charge: Operation) -> bool:
    """Stop if nothing is left to give back, or if it is a person's; wait after refusals.

    While a bank charges it back, nothing is given back: the customer would have it twice.
    """
    with transaction.atomic(durable=True):
        intent = locked_intent(caller, charge.intent_id)
        mine = QUEUE.still_mine(charge)
        if mine is None:
            return True
        charge = mine
        disputed = _charged_back(charge)
        refused = _attempts_refused(charge)
        why_not = ""
        if refused >= ATTEMPTS_MAX:
            why_not = f"refused {refused} times"
        elif disputed == {DisputeStatus.LOST}:
            why_not = "the bank has charged it back for good"
        done = not _is_anything_left(intent, charge)
        if why_not and not done:
            summary = f"The charge could not be given back: {why_not}."
            open_case(case_about_operation(CaseKind.LATE_SUCCESS, charge, summary))
            done = True
        wait = _DISPUTE_WAIT if disputed else LEASE * 2**refused
        reverse_at = None if done else now_utc() + wait
        Operation.objects.filter(pk=charge.pk).update(reverse_at=reverse_at)
    return done or bool(disputed)


def _charged_back(charge: Operation) -> set[str]:
    """Where the disputes stand by which banks have, or had, the charge's money from us."""
    rows = charge.disputes.filter(status__in=sorted(_CHARGED_BACK))
    return set(rows.values_list("status", flat=True))


def _is_anything_left(intent: PaymentIntent, charge: Operation) -> bool:
    """Of the charge's money, what did not go back yet (a refund under way counts as left)."""
    if charge.status == O.EXCESS:
        return charge.excess_returned_minor < charge.excess_minor
    if charge.status != O.SUCCEEDED or charge.id != intent.latest_charge_id:
        return False
    if charge.capture_now:
        return bool(intent.refundable) or intent.amount_refund_pending_minor > 0
    # Once the merchant has captured it, it wants to keep it.
    held = intent.status in (IntentStatus.AUTHORIZED, IntentStatus.PROCESSING)
    return held and not intent.amount_captured_minor


def _attempts_refused(charge: Operation) -> int:
    return Operation.objects.filter(
        intent_id=charge.intent_id,
        charge_id=charge.id,
        actor=ACTOR,
        status__in=[O.DECLINED, O.TAKEN_BACK],
    ).count()


def _begin_for_excess(caller: Caller, charge_id: UUID) -> Operation | None:
    """Write down the void or refund of a charge too many; None while one is under way."""
    with transaction.atomic(durable=True):
        found = Operation.objects.get(pk=charge_id)
        intent = locked_intent(caller, found.intent_id)
        charge = Operation.objects.select_for_update().get(pk=charge_id)
        left = excess_left(charge, intent.operations.filter(charge_id=charge.id))
        kind = OperationKind.VOID if left.held_minor else OperationKind.REFUND
        left_minor = left.held_minor or left.taken_minor
        blocking = Q(charge_id=charge.id)
        if kind is OperationKind.VOID:
            blocking |= Q(kind__in=_CHANGES)  # one at a time, whichever charge they are about
        under_way = intent.operations.filter(blocking, status__in=sorted(OPERATION_OPEN)).exists()
        gone = charge.status != O.EXCESS or left_minor <= 0 or _charged_back(charge)
        if under_way or gone:
            return None
        operation = _operation_for(kind, charge, left_minor, intent, caller)
        batch = Batch().insert(operation)
        if kind is OperationKind.REFUND:
            refund = new_refund(intent, operation, charge.id, "duplicate", {})
            created = EventDraft("refund.created", refund_object(refund, intent, operation))
            events = events_of(intent, [created], caller)
            batch.update(intent, ("event_seq", "updated_at")).insert(refund).insert(*events)
        batch.execute()
    return operation


def _operation_for(
    kind: OperationKind, charge: Operation, amount_minor: int, intent: PaymentIntent, caller: Caller
) -> Operation:
    operation = new_operation(
        kind=kind,
        intent=intent,
        amount_minor=amount_minor,
        caller=caller,
        operation_id=public_ids.new_id(),
        idempotency_id=None,
    )
    operation.currency = charge.currency
    operation.charge_id = charge.id
    operation.psp_payment_id = charge.psp_payment_id
    operation.excess_minor = amount_minor
    operation.status_before = ""
    return operation
