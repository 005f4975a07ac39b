"""What PSPs tell us unasked: stored first, answered at once, looked at afterwards.

A notification is a reason to look, never the truth: nothing of it but the name of an operation is
used. Its own row is the queue; several workers may run at once. What may not live here: HTTP, how a
PSP signs (its adapter knows), what a word of a PSP causes (the one door does).
"""

from __future__ import annotations

import logging
import random
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import transaction

from ledger.database.statements import Batch, execute, table_of
from payments.clock import now_utc
from payments.models import Case, Operation, PspNotification
from payments.services.cases.opening import case_about_account, open_case
from payments.services.disputes.sync import look_at_dispute
from payments.services.psp_gateway import references
from payments.services.psp_gateway.unresponsive_accounts import Silence
from payments.services.psp_notifications.receiving import GIVE_UP_AFTER
from payments.services.recovery.operation_sync import (
    Contradicted,
    NotYetKnown,
    agrees,
    contradiction,
    look_at_operation,
)
from payments.services.recovery.payment_sync import look_at_payment
from payments.states import NOTIFICATION_WAITING, CaseKind, NotificationStatus
from psp_adapters.contract.operations import OperationKind, Outcome

logger = logging.getLogger(__name__)

ACTOR: Final = "psp:notification"
LEASE_SECONDS: Final = 60.0
"""How long one worker has for what it took; then another may take it."""
SWEEP_LIMIT: Final = 500
SWEEP_SECONDS: Final = 10.0
_BATCH: Final = 5
"""Looked at under one lease: even if the PSP hangs, that ends inside a task's time limit."""
_RETRY_FIRST_SECONDS: Final = 2.0
_RETRY_MOST_SECONDS: Final = 3600.0


@dataclass(frozen=True, slots=True)
class _Try:
    row: PspNotification
    """As it was leased."""
    status: NotificationStatus
    error: str


def process_due_notifications(*, limit: int = SWEEP_LIMIT) -> int:
    """Look at the notifications that are due; returns how many it looked at.

    Bounded in number and time, safe to run again, safe to run several at once (SKIP LOCKED, and a
    lease each). An account that gives no answer twice in a row is left alone for the rest of it.
    """
    silence = Silence()
    end = time.monotonic() + SWEEP_SECONDS
    done = 0
    while done < limit and time.monotonic() < end:
        leased = _lease(min(_BATCH, limit - done), silence.accounts)
        _conclude([_try(row, silence) for row in leased])
        done += len(leased)
        if len(leased) < _BATCH:
            break
    return done


def _lease(limit: int, silent: list[UUID]) -> list[PspNotification]:
    """The notifications that have waited longest, but for those of silent accounts."""
    with transaction.atomic(durable=True):
        rows = execute(
            f"UPDATE {table_of(PspNotification)} SET attempts = attempts + 1, "
            "next_try_at = now() + make_interval(secs => %s) WHERE id = ANY (ARRAY("
            f"SELECT id FROM {table_of(PspNotification)} WHERE next_try_at <= now() "
            "AND psp_account_id <> ALL(%s) "
            "ORDER BY next_try_at LIMIT %s FOR UPDATE SKIP LOCKED)) RETURNING id",
            [LEASE_SECONDS, silent, limit],
        )
    leased = PspNotification.objects.filter(pk__in=[row[0] for row in rows]).order_by("id")
    return list(leased.defer("body", "headers")) if rows else []


def _try(row: PspNotification, silence: Silence) -> _Try:
    """Look, and say how it ended."""
    account_id = row.psp_account_id
    if silence.is_silent(account_id):  # It fell silent within this batch.
        return _Try(row, NotificationStatus.FAILING, "the provider gives no answer just now")
    answered = True
    try:
        _look(row)
    except Contradicted as contradiction:
        return _Try(row, NotificationStatus.DEAD, str(contradiction))
    except NotYetKnown as reason:
        answered = not reason.is_silence
        return _Try(row, NotificationStatus.FAILING, str(reason))
    except Exception as failure:
        logger.exception("notification %s could not be processed", row.event_id)
        return _Try(row, NotificationStatus.FAILING, f"{type(failure).__name__}: {failure}")
    finally:
        silence.note(account_id, answered=answered)
    return _Try(row, NotificationStatus.PROCESSED, "")


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


def _conclude(tries: list[_Try]) -> None:
    """Write how the tries ended, except where the lease has passed to somebody else meanwhile."""
    if not tries:
        return
    buried = []
    with transaction.atomic(durable=True):
        ids = [each.row.id for each in tries]
        rows = PspNotification.objects.select_for_update().filter(pk__in=ids).order_by("id")
        present = {row.id: row for row in rows.defer("body", "headers")}
        batch = Batch()
        for each in tries:
            row = present[each.row.id]
            if row.attempts == each.row.attempts and row.status in NOTIFICATION_WAITING:
                _move(row, each.status, each.error[:500])
                batch.update(row, ("status", "last_error", "next_try_at", "processed_at"))
                if row.status == NotificationStatus.DEAD:
                    buried.append(row)
                    if each.status is not NotificationStatus.DEAD:  # Else there is a case.
                        open_case(_case_of_given_up(row))
        batch.execute()
    for row in buried:
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
        row.next_try_at = _next_try(row, now)
        if row.status != NotificationStatus.FAILING:
            row.fail()


def _next_try(row: PspNotification, now: datetime) -> datetime:
    """Later and later: after half of the time that has been tried for, with ±50 % jitter."""
    tried_seconds = (now - (row.give_up_at - GIVE_UP_AFTER)).total_seconds()
    step = min(max(tried_seconds / 2, _RETRY_FIRST_SECONDS), _RETRY_MOST_SECONDS)
    return now + timedelta(seconds=step * random.uniform(0.5, 1.5))
