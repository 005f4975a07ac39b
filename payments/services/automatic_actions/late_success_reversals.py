"""Gives back duplicate charges, and late successes that the merchant does not keep.

The charge's `reversal_due_at` is the queue. A worker leases a due charge and starts an ordinary
void or refund under the intent's lock, unless one is open or done. If the worker is killed,
recovery finishes what it started.
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
from payments.services.callers.caller import Caller, CommandRequest, Subject
from payments.services.cases.opening import case_about_operation, open_case
from payments.services.commands.transaction import locked_intent
from payments.services.jobs.due_queue import DueQueue, Handled, run_sweep
from payments.services.operations import execution
from payments.services.operations.creation import new_operation
from payments.services.outbox.events import EventDraft, events_of
from payments.services.outcomes.duplicate_charges import GIVE_BACK_ACTOR, excess_left
from payments.services.outcomes.effects.refunds import new_refund
from payments.services.psp_gateway.queries import Inconclusive
from payments.services.recovery.payment_sync import Conflict, sync_payment
from payments.states import (
    DISPUTE_CHARGED_BACK,
    OPERATION_OPEN,
    OPERATION_OUTCOME_UNKNOWN,
    CaseKind,
    DisputeStatus,
    IntentStatus,
)
from payments.states import OperationStatus as O
from psp_adapters.contract.operations import OperationKind

logger = logging.getLogger(__name__)

ACTOR: Final = GIVE_BACK_ACTOR
SWEEP_LIMIT: Final = 50
SWEEP_SECONDS: Final = 10.0
LEASE: Final = timedelta(seconds=60)
"""Longer than a call to the PSP; a refused attempt is repeated after twice as long each time."""
QUEUE: Final = DueQueue(
    Operation.objects.all(), due="reversal_due_at", lease=LEASE, account="psp_account_id"
)
_CHANGES: Final = [OperationKind.CAPTURE, OperationKind.INCREMENT, OperationKind.VOID]
ATTEMPTS_MAX: Final = 8
"""Refused so often (over about four hours), an operator must return the money."""
_DISPUTE_WAIT: Final = timedelta(hours=1)
"""Disputes take weeks: how often to check whether one is over."""


def reverse_due_charges(*, limit: int = SWEEP_LIMIT) -> int:
    """Void or refund the charges that are due; returns how many were taken.

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
    """Begin a void or refund, unless one is done or under way; False if the PSP did not answer."""
    caller = callers.for_operation(charge, ACTOR)
    if _attempts_refused(charge) and not _sync_refused(charge):
        return False
    if _finish_or_wait(caller, charge):
        return True
    request: CommandRequest[Subject] = CommandRequest(caller)
    if charge.status == O.EXCESS:
        begun = _begin_for_excess(caller, charge.id)
        if begun is None:
            return True
        result = execution.execute(begun, request)
    elif charge.capture_now:
        result = commands.refund_payment(request, intent_id=charge.intent_id)
    else:
        result = commands.cancel_payment(request, intent_id=charge.intent_id)
    return result.operation is None or result.operation.status not in OPERATION_OUTCOME_UNKNOWN


def _sync_refused(charge: Operation) -> bool:
    """Sync a charge whose void or refund was refused: it may have been made in the dashboard.

    Returns False if the PSP gave no answer.
    """
    try:
        sync_payment(charge.id, actor=ACTOR)
    except (Inconclusive, Conflict) as reason:
        logger.info("charge %s was refused to be given back, and: %s", charge.public_id, reason)
        return not (isinstance(reason, Inconclusive) and reason.is_unanswered)
    return True


def _finish_or_wait(caller: Caller, charge: Operation) -> bool:
    """End it if nothing is left to return, or with a case; else set when to try again.

    Returns True if nothing is to be begun now. While a bank charges it back, nothing is returned:
    the customer would have it twice.
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
        reversal_due_at = None if done else now_utc() + wait
        Operation.objects.filter(pk=charge.pk).update(reversal_due_at=reversal_due_at)
    return done or bool(disputed)


def _charged_back(charge: Operation) -> set[str]:
    """The statuses of the disputes by which banks took the charge's money."""
    rows = charge.disputes.filter(status__in=sorted(DISPUTE_CHARGED_BACK))
    return set(rows.values_list("status", flat=True))


def _is_anything_left(intent: PaymentIntent, charge: Operation) -> bool:
    """Of the charge's money, what did not go back yet (a refund under way counts as left)."""
    if charge.status == O.EXCESS:
        return charge.excess_returned_minor < charge.excess_minor
    if charge.status != O.SUCCEEDED or charge.id != intent.latest_charge_id:
        return False
    if charge.capture_now:
        return bool(intent.unrefunded) or intent.amount_refund_pending_minor > 0
    # Once the merchant has captured it, it wants to keep it.
    held = intent.status in (IntentStatus.AUTHORIZED, IntentStatus.PROCESSING)
    return held and not intent.amount_captured_minor


def _attempts_refused(charge: Operation) -> int:
    return Operation.objects.filter(
        intent_id=charge.intent_id,
        charge_id=charge.id,
        actor=ACTOR,
        status__in=[O.DECLINED, O.REVERSED],
    ).count()


def _begin_for_excess(caller: Caller, charge_id: UUID) -> Operation | None:
    """Insert the void or refund of a duplicate charge. Returns None while one is open."""
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
            refund = new_refund(operation, charge_id=charge.id, reason="duplicate")
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
    operation.psp_account_id = charge.psp_account_id
    operation.psp_payment_id = charge.psp_payment_id
    operation.excess_minor = amount_minor
    operation.status_before = ""
    return operation
