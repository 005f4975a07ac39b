"""Syncs operations and payments with the PSP: looks them up, then records. Sends nothing.

The first result of an open operation is recorded alone. Everything else that the PSP may show (late
outcomes, external operations, expiries) is adopted from a snapshot of the whole payment. It is
taken under the charge's lease and discarded if anything was recorded meanwhile.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import IntegrityError, transaction

from ledger.database.statements import execute, table_of
from payments.models import Operation
from payments.services import callers
from payments.services.cases.opening import case_about_operation, open_case
from payments.services.idempotency.keys import LEASE_SECONDS
from payments.services.outcomes.late_and_external.adopt import (
    Overtaken,
    SnapshotIncomplete,
    adopt_payment,
    version_of,
)
from payments.services.outcomes.recording import Disposition, record_outcome
from payments.services.outcomes.result_checks import agrees as agrees
from payments.services.psp_gateway import accounts, sending
from payments.services.psp_gateway.queries import Inconclusive, look_up
from payments.states import OPERATION_OPEN, CaseKind
from psp_adapters.contract.operations import Outcome, PspResult
from psp_adapters.contract.payments import PspOperationKind, PspPayment

_OF_ONE_CHARGE: Final = frozenset({"one_charge_per_order", "one_charge_per_intent"})
"""Unique indexes that a charge may meet if another one took its place since that was read."""


class Conflict(Exception):
    """The PSP's result cannot be recorded beside ours. A case is open for an operator."""


def conflict(operation: Operation, why: str) -> Conflict:
    """Open a case about a result that cannot be recorded; returns the exception to raise."""
    with transaction.atomic(durable=True):
        open_case(case_about_operation(CaseKind.CONTRADICTION, operation, f"{why}."))
    return Conflict(f"{operation.public_id}: {why}")


def sync_operation(operation_id: UUID, *, actor: str) -> None:
    """Look up one operation and record the result; of a closed one the whole payment is synced.

    Holds no connection of a pool meanwhile. Raises Inconclusive or Conflict. A result that
    changes nothing is no error.
    """
    operation = Operation.objects.get(pk=operation_id)
    if operation.is_open and not _sync_open(operation, actor=actor):
        return
    sync_payment(operation.charge_id or operation.id, actor=actor)


def sync_payment(charge_id: UUID, *, actor: str, lease: datetime | None = None) -> None:
    """Look up the payment of a charge and adopt what the PSP shows.

    `lease` is the charge's lease if the caller holds it. Holds no connection of a pool
    meanwhile. Raises Inconclusive, also if a worker is looking it up already. Raises Conflict if
    something of it could not be booked; all else is booked then, and a case is open.
    """
    charge = Operation.objects.get(pk=charge_id)
    if charge.is_open:
        _sync_open(charge, actor=actor)
        charge.refresh_from_db()
    if charge.is_open:
        _require_nothing_of(charge)
        return
    lease = lease or lease_payment(charge_id)
    if lease is None:
        raise Inconclusive("a worker is looking it up already")
    version = version_of(charge.intent_id)
    try:
        found = look_up_payment(charge)
        adopted = adopt_payment(charge_id, found, lease=lease, version=version, actor=actor)
    except (Overtaken, SnapshotIncomplete) as reason:
        _release_lease(charge_id, lease)
        raise Inconclusive(str(reason)) from reason
    except IntegrityError as error:
        _release_lease(charge_id, lease)
        if _constraint_of(error) not in _OF_ONE_CHARGE:
            raise
        raise Inconclusive("another charge took the payment or its order meanwhile") from error
    except (Inconclusive, Conflict):
        _release_lease(charge_id, lease)
        raise
    if adopted.objections:
        raise Conflict("; ".join(each.why for each in adopted.objections))
    if adopted.undecided is not None:
        raise Inconclusive(f"the provider has yet to say how {adopted.undecided.public_id} ends")


def _constraint_of(error: IntegrityError) -> str | None:
    return getattr(getattr(error.__cause__, "diag", None), "constraint_name", None)


def look_up_payment(charge: Operation) -> PspPayment:
    """The charge's payment as the PSP shows it now; found by our reference while we have no id."""
    payment_id = charge.psp_payment_id or look_up_operation(charge).psp_payment_id
    if not payment_id:
        raise Inconclusive(f"{charge.public_id} has no payment at the provider (yet)")
    return look_up(
        accounts.identity_of(charge.psp_account_id),
        lambda adapter, seconds: adapter.look_up_payment(payment_id, deadline_seconds=seconds),
        what="payment",
    )


def look_up_operation(operation: Operation) -> PspResult:
    """The operation's present result at the PSP; holds no connection of a pool meanwhile.

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


def _sync_open(operation: Operation, *, actor: str) -> bool:
    """Look up an open operation and record its result; True if the payment must be synced."""
    result = look_up_operation(operation)
    operation.refresh_from_db()
    if operation.is_open and agrees(operation, result.outcome):
        return False  # Recording it again would only postpone the next check.
    caller = callers.for_operation(operation, actor)
    recorded = record_outcome(operation=operation, result=result, caller=caller)
    return recorded.disposition is Disposition.DEFERRED


def _require_nothing_of(charge: Operation) -> None:
    """Raise Inconclusive if the PSP shows changes of a charge that is open by our rows."""
    found = look_up_payment(charge)
    changes = [act for act in found.operations if act.kind is not PspOperationKind.AUTHORIZE]
    if any(act.amount and act.outcome is Outcome.SUCCEEDED for act in changes):
        raise Inconclusive(f"{charge.public_id} is {charge.status} by our books")


def lease_payment(charge_id: UUID) -> datetime | None:
    """Lease a payment for a look-up, by its charge; None if a worker has leased it."""
    with transaction.atomic(durable=True):
        rows = execute(
            f"UPDATE {table_of(Operation)} SET lease_until = now() + make_interval(secs => %s) "
            "WHERE id = %s AND status <> ALL(%s) AND lease_until <= now() RETURNING lease_until",
            [LEASE_SECONDS, charge_id, sorted(OPERATION_OPEN)],
        )
    return rows[0][0] if rows else None


def _release_lease(charge_id: UUID, lease: datetime) -> None:
    with transaction.atomic(durable=True):
        execute(
            f"UPDATE {table_of(Operation)} SET lease_until = now() "
            "WHERE id = %s AND lease_until = %s",
            [charge_id, lease],
        )
