"""Syncs one operation with the PSP: looks it up, then records the result. Sends nothing.

A look-up can be stale when it arrives. So a closed operation is changed only by a look-up made
while holding the operation's lease; any other differing result schedules a new look-up. An open
operation may be synced beside its sender: the second result to arrive finds it closed.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import transaction

from ledger.database.statements import execute, table_of
from payments.models import Operation
from payments.services import callers
from payments.services.cases.opening import case_about_operation, open_case
from payments.services.idempotency.keys import LEASE_SECONDS
from payments.services.outcomes.recording import Disposition, record_outcome
from payments.services.psp_gateway import accounts, sending
from payments.services.psp_gateway.queries import Inconclusive, look_up
from payments.states import OPERATION_OPEN, CaseKind
from payments.states import OperationStatus as S
from psp_adapters.contract.operations import Outcome, PspResult

# The statuses in which an operation may be if the PSP reports this outcome.
_AGREES: Final = {
    Outcome.PENDING: frozenset({S.PENDING}),
    Outcome.REQUIRES_ACTION: frozenset({S.REQUIRES_ACTION}),
    Outcome.SUCCEEDED: frozenset({S.SUCCEEDED, S.EXCESS}),
    Outcome.DECLINED: frozenset({S.DECLINED, S.CANCELED, S.NOT_SENT, S.REVERSED}),
}


class Conflict(Exception):
    """The PSP's result cannot be recorded beside ours. A case is open for an operator."""


def conflict(operation: Operation, why: str) -> Conflict:
    """Open a case about a result that cannot be recorded; returns the exception to raise."""
    with transaction.atomic(durable=True):
        open_case(case_about_operation(CaseKind.CONTRADICTION, operation, f"{why}."))
    return Conflict(f"{operation.public_id}: {why}")


def agrees(operation: Operation, outcome: Outcome) -> bool:
    """Is the operation already in a status that this outcome leads to?"""
    return operation.status in _AGREES.get(outcome, ())


def sync_operation(operation_id: UUID, *, actor: str) -> None:
    """Look up one operation, open or closed, and record the result.

    Holds no connection of a pool while asking. Raises Inconclusive or Conflict. A result that
    changes nothing is no error.
    """
    operation = Operation.objects.get(pk=operation_id)
    if not operation.is_open:
        sync_closed_operation(operation, actor=actor)
        return
    result = look_up_operation(operation)
    operation.refresh_from_db()
    if operation.is_open and agrees(operation, result.outcome):
        return  # Recording it again would only postpone the next check.
    caller = callers.for_operation(operation, actor)
    recorded = record_outcome(operation=operation, result=result, caller=caller)
    if recorded.disposition is Disposition.DEFERRED:
        raise Inconclusive(recorded.why)


def sync_closed_operation(
    operation: Operation, *, actor: str, lease: datetime | None = None
) -> None:
    """Look up a closed operation under its lease and record a late outcome.

    `lease` is the operation's lease if the caller holds it. Raises Inconclusive, also if a worker
    is looking it up already, or Conflict. A result that changes nothing is no error.
    """
    lease = lease or lease_closed_operation(operation.id)
    if lease is None:
        raise Inconclusive("a worker is looking it up already")
    try:
        result = look_up_operation(operation)
    except (Inconclusive, Conflict):
        _release_lease(operation.id, lease)
        raise
    recorded = record_outcome(
        operation=operation,
        result=result,
        caller=callers.for_operation(operation, actor),
        look_lease=lease,
    )
    if recorded.disposition is Disposition.DEFERRED:
        raise Inconclusive(recorded.why)
    if recorded.disposition is Disposition.CONFLICT:
        raise conflict(operation, recorded.why)


def look_up_operation(operation: Operation) -> PspResult:
    """The operation's present result at the PSP; holds no connection of a pool while asking.

    Raises Inconclusive, or Conflict if the PSP reports another amount.
    """
    lookup = sending.lookup_of(operation)
    found = look_up(
        accounts.identity_of(operation.psp_account_id),
        lambda adapter, seconds: adapter.look_up(lookup, deadline_seconds=seconds),
        what="operation",
    )
    if found.outcome is Outcome.UNKNOWN:
        raise Inconclusive(f"the provider's answer is no answer: {found.detail}")
    result = sending.unknown_if_amount_differs(operation, found)
    if result.outcome is Outcome.UNKNOWN:
        raise conflict(operation, result.detail)
    return result


def lease_closed_operation(operation_id: UUID) -> datetime | None:
    """Lease a closed operation for a look-up, due or not; None if it is open or leased."""
    with transaction.atomic(durable=True):
        rows = execute(
            f"UPDATE {table_of(Operation)} SET lease_until = now() + make_interval(secs => %s) "
            "WHERE id = %s AND status <> ALL(%s) AND lease_until <= now() RETURNING lease_until",
            [LEASE_SECONDS, operation_id, sorted(OPERATION_OPEN)],
        )
    return rows[0][0] if rows else None


def _release_lease(operation_id: UUID, lease: datetime) -> None:
    with transaction.atomic(durable=True):
        execute(
            f"UPDATE {table_of(Operation)} SET lease_until = now() "
            "WHERE id = %s AND lease_until = %s",
            [operation_id, lease],
        )
