"""Processes stored PSP notifications: looks up what each one concerns and records the answer.

A notification is a reason to ask the PSP, never the truth: only the names in it are used.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from django.db import transaction

from ledger.database.statements import Batch
from payments.clock import now_utc
from payments.models import Case, Operation, PspNotification
from payments.services.cases.opening import case_about_account, open_case
from payments.services.disputes.sync import look_at_dispute
from payments.services.jobs.backoff import next_attempt
from payments.services.jobs.due_queue import DueQueue, Handled, Sweep
from payments.services.psp_gateway import references
from payments.services.psp_notifications.receiving import GIVE_UP_AFTER
from payments.services.recovery.operation_sync import (
    Contradicted,
    NotYetKnown,
    agrees,
    contradiction,
    look_at_operation,
)
from payments.services.recovery.payment_sync import look_at_payment
from payments.states import CaseKind, NotificationStatus
from psp_adapters.contract.operations import OperationKind, Outcome

logger = logging.getLogger(__name__)

ACTOR: Final = "psp:notification"
SWEEP_LIMIT: Final = 500
SWEEP_SECONDS: Final = 10.0
BATCH: Final = 5
"""Leased together: even if the PSP hangs, handling them ends inside a task's time limit."""
RETRY_FIRST: Final = timedelta(seconds=2)
QUEUE: Final = DueQueue(
    PspNotification.objects.defer("body", "headers"),
    due="next_try_at",
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
    """Process the notifications that are due; returns how many were taken.

    Bounded in number and time. Safe to repeat, and several workers may run it at once.
    """
    sweep = Sweep(QUEUE, most=limit, seconds=SWEEP_SECONDS)
    for rows in sweep.batches(BATCH):
        record_attempts([_attempt(row, sweep) for row in rows])
    return sweep.taken


def _attempt(row: PspNotification, sweep: Sweep[PspNotification]) -> Attempt:
    if row.psp_account_id in sweep.unresponsive:  # It stopped answering within this batch.
        return Attempt(row, NotificationStatus.FAILING, "the provider gives no answer just now")
    attempt = _process(row)
    sweep.note(row, attempt.handled)
    return attempt


def _process(row: PspNotification) -> Attempt:
    try:
        _look(row)
    except Contradicted as contradiction:
        return Attempt(row, NotificationStatus.DEAD, str(contradiction))
    except NotYetKnown as reason:
        handled = Handled.NO_ANSWER if reason.is_silence else Handled.ANSWERED
        return Attempt(row, NotificationStatus.FAILING, str(reason), handled)
    except Exception as failure:
        logger.exception("notification %s could not be processed", row.event_id)
        return Attempt(row, NotificationStatus.FAILING, f"{type(failure).__name__}: {failure}")
    return Attempt(row, NotificationStatus.PROCESSED)


def _look(row: PspNotification) -> None:
    """Look at every operation of ours that the notification concerns and has news of."""
    if not row.known:
        return
    if row.psp_dispute_id:
        look_at_dispute(account=row.psp_account, psp_dispute_id=row.psp_dispute_id, actor=ACTOR)
        return
    operations = _operations_of(row)
    for operation in operations:
        if operation.is_open or (row.claims and not _says_what_we_know(row, operation)):
            look_at_operation(operation.id, actor=ACTOR)
    if operations and row.claims:
        return
    # It tells of more than an outcome, or of an act that no operation of ours asked for.
    charge_id = _charge_of(row, operations)
    if charge_id is None:
        raise NotYetKnown("it concerns no operation of ours at this account")
    look_at_payment(charge_id, actor=ACTOR)


def _charge_of(row: PspNotification, operations: list[Operation]) -> UUID | None:
    """The charge whose payment the notification is about."""
    if operations:
        return operations[0].charge_id or operations[0].id
    if not row.psp_payment_id:
        return None
    charges = Operation.objects.filter(kind=OperationKind.AUTHORIZE.value)
    of_payment = charges.filter(psp_payment_id=row.psp_payment_id).exclude(psp_payment_id="")
    # The newest: should two charges ever share a payment, it is the one that stands.
    newest = of_payment.filter(psp_account_id=row.psp_account_id).order_by("-id").first()
    return newest.id if newest is not None else None


def _says_what_we_know(row: PspNotification, operation: Operation) -> bool:
    """True or not, it changes nothing: most come just after the answer to the request itself."""
    if operation.is_open or not row.claims or row.conflicting_body:
        return False
    return agrees(operation, Outcome(row.claims))


def _operations_of(row: PspNotification) -> list[Operation]:
    """Within the account that told us, and of the payment that it names, or none."""
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
            raise contradiction(
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
            _move(row, each.status, each.error[:500])
            batch.update(row, ("status", "last_error", "next_try_at", "processed_at"))
            if row.status == NotificationStatus.DEAD:
                dead_letters.append(row)
                if each.status is not NotificationStatus.DEAD:  # Else there is a case.
                    open_case(_case_of_given_up(row))
        batch.execute()
    for row in dead_letters:
        logger.error("alert: notification %s is given up: %s", row.event_id, row.last_error)


def _case_of_given_up(row: PspNotification) -> Case:
    """One per payment at the PSP: it may tell of one that we know nothing of many times."""
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
    row.last_error, row.next_try_at = error, None
    if status is NotificationStatus.PROCESSED:
        row.finish()
        row.processed_at = now
    elif status is NotificationStatus.DEAD or now >= row.give_up_at:
        row.bury()
    else:
        first_tried_at = row.give_up_at - GIVE_UP_AFTER
        row.next_try_at = next_attempt(now, since=first_tried_at, first=RETRY_FIRST)
        if row.status != NotificationStatus.FAILING:
            row.fail()
