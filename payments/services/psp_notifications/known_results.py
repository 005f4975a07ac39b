"""Closes together the notifications that state a result which our rows already show.

Most do: a PSP notifies us of what it has just answered. Nothing is asked, and nothing is leased.
The rule is said twice, here and in SQL, because what is closed is never looked up. Whatever does
not meet all of it is left to `processing`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final
from uuid import UUID

from django.db import transaction

from ledger.database.statements import execute, instance_of, table_of
from payments import metrics
from payments.clock import now_utc
from payments.models import Operation, PspNotification
from payments.models.notification import SALE
from payments.services.jobs.due_queue import DueQueue
from payments.services.psp_gateway import references
from payments.states import NotificationStatus
from payments.states import OperationStatus as O
from psp_adapters.contract.operations import OperationKind, Outcome

BATCH: Final = 200
"""Rows that one transaction locks and closes."""
STATUS_OF_CLAIM: Final = {Outcome.SUCCEEDED: O.SUCCEEDED, Outcome.DECLINED: O.DECLINED}
"""The final statuses in which a result counts as known, each by the one outcome that says it."""

_COLUMNS: Final = (
    *("psp_account_id", "our_references", "psp_payment_id", "psp_dispute_id", "known", "claims"),
    *("claimed_kind", "psp_id", "claimed_minor", "claimed_currency", "conflicting_body"),
    *("status", "attempts"),
)
_OPERATION_COLUMNS: Final = (
    *("id", "psp_account_id", "kind", "capture_now", "status", "psp_id", "psp_payment_id"),
    *("amount_minor", "currency", "revisions", "excess_minor"),
)
_READ_OPERATIONS: Final = (
    f"SELECT {', '.join(_OPERATION_COLUMNS)} FROM {table_of(Operation)} WHERE id = ANY(%s)"
)
_CLOSE: Final = f"""
    UPDATE {table_of(PspNotification)} n
    SET status = '{NotificationStatus.PROCESSED}', next_attempt_at = NULL, processed_at = %s
    FROM unnest(%s::uuid[], %s::uuid[]) AS pair (notification_id, operation_id)
    JOIN {table_of(Operation)} o ON o.id = pair.operation_id
    WHERE n.id = pair.notification_id
      AND n.status = '{NotificationStatus.STORED}' AND n.attempts = 0
      AND n.known AND NOT n.conflicting_body AND n.psp_dispute_id = ''
      AND jsonb_array_length(n.our_references) = 1
      AND o.psp_account_id = n.psp_account_id
      AND n.psp_payment_id <> '' AND o.psp_payment_id = n.psp_payment_id
      AND n.psp_id <> '' AND o.psp_id = n.psp_id
      AND o.amount_minor = n.claimed_minor AND o.currency = n.claimed_currency
      AND (o.kind = n.claimed_kind
           OR n.claimed_kind = '{SALE}' AND o.kind = '{OperationKind.AUTHORIZE}' AND o.capture_now)
      AND (n.claims, o.status) IN (VALUES {", ".join(["(%s, %s)"] * len(STATUS_OF_CLAIM))})
      AND o.revisions = 0 AND o.excess_minor = 0
    RETURNING n.id
"""
_PAIRS: Final = [text.value for pair in STATUS_OF_CLAIM.items() for text in pair]


def close_known(
    queue: DueQueue[PspNotification], *, most: int, skip: Collection[UUID] = ()
) -> tuple[int, list[UUID]]:
    """Close those of up to `most` due notifications that state what we know.

    Returns how many were closed, and the ids of the others. Together they are fewer than `most` if
    no more are due.
    """
    with transaction.atomic(durable=True):
        rows = queue.lock_due(*_COLUMNS, most=most, skip=skip)
        named = {row.id: _operation_id_of(row) for row in rows}
        operations = _operations(named.values())
        known = [
            row
            for row in rows
            if (operation := operations.get(named[row.id])) and is_known(row, operation)
        ]
        closed = _close([(row.id, named[row.id]) for row in known])
    metrics.NOTIFICATIONS.labels("known").inc(len(closed))
    return len(closed), [row.id for row in rows if row.id not in closed]


def is_known(row: PspNotification, operation: Operation) -> bool:
    """Does the operation that it names show all that it states, as a final result of ours?

    Not if the operation was ever revised, or is in part more than the payment may hold.
    """
    return (
        (row.status, row.attempts) == (NotificationStatus.STORED, 0)
        and row.known
        and not row.conflicting_body
        and not row.psp_dispute_id
        and _operation_id_of(row) == operation.id
        and row.psp_account_id == operation.psp_account_id
        and row.psp_payment_id == operation.psp_payment_id != ""
        and row.psp_id == operation.psp_id != ""
        and (row.claimed_minor, row.claimed_currency)
        == (operation.amount_minor, operation.currency)
        and _is_of_kind(row, operation)
        and bool(row.claims)
        and STATUS_OF_CLAIM.get(Outcome(row.claims)) == operation.status
        and operation.revisions == operation.excess_minor == 0
    )


def contradicts(row: PspNotification, operation: Operation) -> bool:
    """Does it state another kind, id or amount than the operation has?

    A notification that states no final result contradicts nothing, nor does an id that we lack.
    """
    if not row.claimed_kind:
        return False
    stated = (row.claimed_minor, row.claimed_currency)
    return (
        not _is_of_kind(row, operation)
        or stated != (operation.amount_minor, operation.currency)
        or row.psp_id != (operation.psp_id or row.psp_id)
    )


def _is_of_kind(row: PspNotification, operation: Operation) -> bool:
    if row.claimed_kind == SALE:
        return operation.kind == OperationKind.AUTHORIZE and operation.capture_now
    return row.claimed_kind == operation.kind


def _operation_id_of(row: PspNotification) -> UUID | None:
    """The operation that it names, if it names one alone."""
    if len(row.our_references) != 1:
        return None
    return references.operation_id_of(row.our_references[0])


def _operations(ids: Collection[UUID | None]) -> dict[UUID | None, Operation]:
    wanted = {each for each in ids if each is not None}
    if not wanted:
        return {}
    found = execute(_READ_OPERATIONS, [list(wanted)])
    return {row[0]: instance_of(Operation, row, _OPERATION_COLUMNS) for row in found}


def _close(pairs: Sequence[tuple[UUID, UUID | None]]) -> set[UUID]:
    """Close each notification whose operation still shows what it states; returns their ids."""
    if not pairs:
        return set()
    notifications, operations = (list(each) for each in zip(*pairs, strict=True))
    rows = execute(_CLOSE, [now_utc(), notifications, operations, *_PAIRS])
    return {key for (key,) in rows}
