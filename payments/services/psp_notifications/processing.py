"""Processes stored PSP notifications: looks up what each one concerns and records the answer.

A notification is a reason for a look-up, never the truth: what it states is never recorded.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from django.db import transaction

from ledger.database.statements import Batch
from payments import metrics
from payments.clock import now_utc
from payments.models import Case, Operation, PspNotification, SetupAttempt
from payments.selectors.payments import newest_charge_of_psp_payment
from payments.services.cases.opening import case_about_account, open_case
from payments.services.disputes.sync import sync_dispute
from payments.services.jobs.backoff import next_attempt
from payments.services.jobs.due_queue import DueQueue, Handled, Sweep
from payments.services.psp_gateway import references
from payments.services.psp_gateway.queries import Inconclusive
from payments.services.psp_notifications import known_results
from payments.services.psp_notifications.known_results import contradicts
from payments.services.psp_notifications.receiving import GIVE_UP_AFTER
from payments.services.recovery.payment_sync import (
    Conflict,
    agrees,
    conflict,
    sync_operation,
    sync_payment,
)
from payments.services.recovery.setups import resolve_setup
from payments.states import CaseKind, NotificationStatus
from psp_adapters.contract.operations import OperationKind, Outcome
from psp_adapters.contract.stored_text import clean_text

logger = logging.getLogger(__name__)

ACTOR: Final = "psp:notification"
SWEEP_LIMIT: Final = 2_000
SWEEP_SECONDS: Final = 10.0
BATCH: Final = 5
"""Leased together: even if the PSP hangs, handling them ends inside a task's time limit."""
RETRY_FIRST: Final = timedelta(seconds=2)
QUEUE: Final = DueQueue(
    PspNotification.objects.defer("body", "headers"),
    due="next_attempt_at",
    lease=timedelta(seconds=60),
    attempts="attempts",
    account="psp_account_id",
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """How one attempt to process a notification ended."""

    row: PspNotification
    """As it was leased."""
    status: NotificationStatus
    error: str = ""
    handled: Handled = Handled.ANSWERED


def process_due_notifications(*, limit: int = SWEEP_LIMIT) -> int:
    """Process the notifications that are due; returns how many were closed or taken.

    Those that state what we know are closed together; each of the others is taken and looked at.
    Bounded in number and time. Safe to repeat, and several workers may run it at once.
    """
    closed, more_are_due = _close_known(limit)
    if not more_are_due:
        return closed
    sweep = Sweep(QUEUE, most=limit - closed, seconds=SWEEP_SECONDS)
    for rows in sweep.batches(BATCH):
        record_attempts([_attempt(row, sweep) for row in rows])
    return closed + sweep.taken


def _close_known(limit: int) -> tuple[int, bool]:
    """Close up to `limit` of the due notifications that state what we know.

    Returns how many, and whether others may be due. If it fails, one of them may be the cause:
    each is looked at alone then.
    """
    closed, others = 0, list[UUID]()
    try:
        while (most := min(known_results.BATCH, limit - closed - len(others))) > 0:
            now_closed, left = known_results.close_known(QUEUE, most=most, skip=others)
            closed += now_closed
            others += left
            if now_closed + len(left) < most:
                return closed, bool(others)
    except Exception:
        logger.exception("notifications could not be closed together")
    return closed, True


def _attempt(row: PspNotification, sweep: Sweep[PspNotification]) -> Attempt:
    if row.psp_account_id in sweep.unresponsive:  # It stopped answering within this batch.
        return Attempt(row, NotificationStatus.FAILING, "the provider gives no answer just now")
    attempt = _process(row)
    sweep.note(row, attempt.handled)
    return attempt


def _process(row: PspNotification) -> Attempt:
    try:
        _sync(row)
    except Conflict as reason:
        return Attempt(row, NotificationStatus.DEAD, str(reason))
    except Inconclusive as reason:
        handled = Handled.NO_ANSWER if reason.is_unanswered else Handled.ANSWERED
        return Attempt(row, NotificationStatus.FAILING, str(reason), handled)
    except Exception as failure:
        logger.exception("notification %s could not be processed", row.event_id)
        return Attempt(row, NotificationStatus.FAILING, f"{type(failure).__name__}: {failure}")
    return Attempt(row, NotificationStatus.PROCESSED)


def _sync(row: PspNotification) -> None:
    """Sync every operation that the notification concerns, unless it reports what we have."""
    if not row.known:
        return
    if row.psp_dispute_id:
        sync_dispute(account=row.psp_account, psp_dispute_id=row.psp_dispute_id, actor=ACTOR)
        return
    if attempts := _setup_attempts_of(row):
        for attempt in attempts:
            _resolve_setup(attempt)
        return
    operations = _operations_of(row)
    for operation in operations:
        if operation.is_open or (row.claims and not _reports_our_status(row, operation)):
            sync_operation(operation.id, actor=ACTOR)
    if operations and row.claims:
        return
    # It reports more than an outcome, or an operation that began at the PSP.
    if operations:
        charge_id = operations[0].charge_id or operations[0].id
    else:
        charge = newest_charge_of_psp_payment(row.psp_account_id, row.psp_payment_id)
        if charge is None:
            raise Inconclusive("it concerns no operation of ours at this account")
        charge_id = charge.id
    sync_payment(charge_id, actor=ACTOR)


def _setup_attempts_of(row: PspNotification) -> list[SetupAttempt]:
    """Our setup attempts that it names, within its account."""
    ids = [references.setup_attempt_id_of(reference) for reference in row.our_references]
    known = [each for each in ids if each is not None]
    of_account = SetupAttempt.objects.filter(psp_account_id=row.psp_account_id)
    return list(of_account.filter(pk__in=known)) if known else []


def _resolve_setup(attempt: SetupAttempt) -> None:
    """Look a setup up, if it is open; raises Inconclusive while another worker does so."""
    if attempt.is_open and not resolve_setup(attempt.id, actor=ACTOR):
        raise Inconclusive(f"{attempt.public_id} is being sent or looked up already")


def _reports_our_status(row: PspNotification, operation: Operation) -> bool:
    """Does it report the status that we have, and nothing that contradicts us?"""
    if operation.is_open or not row.claims or row.conflicting_body:
        return False
    return agrees(operation, Outcome(row.claims)) and not contradicts(row, operation)


def _operations_of(row: PspNotification) -> list[Operation]:
    """Our operations that it names, within its account; raises Conflict for another payment."""
    ids = [references.operation_id_of(reference) for reference in row.our_references]
    of_account = Operation.objects.filter(psp_account_id=row.psp_account_id)
    if row.our_references:
        found = list(of_account.filter(pk__in=[each for each in ids if each is not None]))
    elif row.psp_payment_id:
        kinds = [kind.value for kind in OperationKind]
        found = list(of_account.filter(kind__in=kinds, psp_id=row.psp_payment_id))
    else:
        return []
    for operation in found:
        if operation.psp_payment_id and row.psp_payment_id not in ("", operation.psp_payment_id):
            second = newest_charge_of_psp_payment(row.psp_account_id, row.psp_payment_id)
            if second is not None and second.intent_id == operation.intent_id:
                return [second]  # The PSP made a second charge under our reference.
            raise conflict(
                operation, "a notification names it as part of another payment at the provider"
            )
    return found


def record_attempts(attempts: list[Attempt]) -> None:
    """Write how attempts ended, except for rows whose lease has passed or that are due again."""
    dead_letters = []
    with transaction.atomic(durable=True):
        rows = QUEUE.all_still_mine([each.row for each in attempts])
        batch = Batch()
        for each in attempts:
            row = rows.get(each.row.pk)
            if row is None:
                continue
            _move(row, each.status, clean_text(each.error, most=500))
            metrics.NOTIFICATIONS.labels(row.status).inc()
            batch.update(row, ("status", "last_error", "next_attempt_at", "processed_at"))
            if row.status == NotificationStatus.DEAD:
                dead_letters.append(row)
                if each.status is not NotificationStatus.DEAD:  # Else there is a case.
                    open_case(_case_of_given_up(row))
        batch.execute()
    for row in dead_letters:
        logger.error("alert: notification %s is given up: %s", row.event_id, row.last_error)


def _case_of_given_up(row: PspNotification) -> Case:
    """One case per payment at the PSP, which may send many notifications of an unknown one."""
    hours = GIVE_UP_AFTER // timedelta(hours=1)
    return case_about_account(
        CaseKind.CONTRADICTION,
        row.psp_account,
        f"The notification {row.event_id} ({row.type}) was tried for {hours} hours: "
        f"{row.last_error}.",
        subject=row.psp_dispute_id or row.psp_payment_id or row.event_id,
    )


def _move(row: PspNotification, status: NotificationStatus, error: str) -> None:
    now = now_utc()
    row.last_error, row.next_attempt_at = error, None
    if status is NotificationStatus.PROCESSED:
        row.finish()
        row.processed_at = now
    elif status is NotificationStatus.DEAD or now >= row.give_up_at:
        row.dead_letter()
    else:
        first_tried_at = row.give_up_at - GIVE_UP_AFTER
        row.next_attempt_at = next_attempt(now, since=first_tried_at, first=RETRY_FIRST)
        if row.status != NotificationStatus.FAILING:
            row.fail()
