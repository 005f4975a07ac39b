"""Compares a PSP's snapshot of a payment with our rows, operation by operation. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from payments.models import Operation
from payments.services.outcomes.result_checks import Revision, agrees, revision_of
from payments.services.psp_gateway import references
from payments.states import OPERATION_OUTCOME_UNKNOWN, OperationStatus
from psp_adapters.contract.operations import Outcome
from psp_adapters.contract.payments import PspOperation, PspOperationKind, PspPayment

_DECIDED: Final = (Outcome.SUCCEEDED, Outcome.DECLINED)
_UNDECIDED: Final = (Outcome.PENDING, Outcome.REQUIRES_ACTION)
_APPLIED: Final = (OperationStatus.SUCCEEDED, OperationStatus.EXCESS)


class SnapshotIncomplete(Exception):
    """The snapshot lacks something that we know to have happened: take another one later."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One operation that the PSP shows otherwise than our rows."""

    shown: PspOperation
    operation: Operation | None
    """Our row; None for an external operation that has none yet."""
    revision: Revision | None = None
    """Set if the row is closed."""


@dataclass(frozen=True, slots=True)
class Objection:
    """Something that the PSP shows and that cannot be booked."""

    operation: Operation
    why: str


@dataclass(slots=True)
class Comparison:
    """How a snapshot differs from our rows, in the PSP's order."""

    differences: list[Difference] = field(default_factory=list)
    objections: list[Objection] = field(default_factory=list)
    undecided: Operation | None = None
    """A closed operation of ours that the PSP shows as not decided yet."""


def compare(charge: Operation, operations: Sequence[Operation], seen: PspPayment) -> Comparison:
    """Compare a snapshot with the rows of its payment.

    Raises SnapshotIncomplete if a successful operation of ours is not listed or not decided, or if
    the charge itself is decided at the PSP and open here.
    """
    ours = [o for o in operations if charge.id in (o.id, o.charge_id)]
    listed = _pairs(ours, seen)
    _require_complete(ours, listed)
    comparison = Comparison()
    for shown, row in listed:
        objection = _objection(charge, row, shown, seen)
        if objection is not None:
            comparison.objections.append(objection)
        elif row is not None and not row.is_open and shown.outcome in _UNDECIDED:
            comparison.undecided = row
        elif (difference := _difference(shown, row)) is not None:
            comparison.differences.append(difference)
    return comparison


def _pairs(
    ours: Sequence[Operation], seen: PspPayment
) -> list[tuple[PspOperation, Operation | None]]:
    """Each operation of the PSP with our row. Expiries are skipped: no row of ours corresponds.

    A second operation under one reference of ours is an external one: it has an id of its own.
    """
    by_id = {o.id: o for o in ours}
    by_psp_id = {(o.kind, o.psp_id): o for o in ours if o.psp_id}
    named: dict[object, str] = {}
    pairs: list[tuple[PspOperation, Operation | None]] = []
    for shown in seen.operations:
        if shown.kind is PspOperationKind.EXPIRE:
            continue
        row = by_psp_id.get((shown.kind.value, shown.psp_id))
        identifier = references.operation_id_of(shown.reference)
        if row is None and identifier is not None and identifier in by_id:
            row = by_id[identifier]
            other_id = row.psp_id or named.get(row.id, "")
            if row.kind != shown.kind.value or other_id not in ("", shown.psp_id):
                row = None
            else:
                named[row.id] = shown.psp_id
        pairs.append((shown, row))
    return pairs


def _require_complete(
    ours: Sequence[Operation], listed: Sequence[tuple[PspOperation, Operation | None]]
) -> None:
    rows_shown = {row.id for _, row in listed if row is not None}
    for operation in ours:
        if operation.status in _APPLIED and operation.id not in rows_shown:
            raise SnapshotIncomplete(f"the provider does not list {operation.public_id} (yet)")
    for shown, row in listed:
        if row is not None and row.status in _APPLIED and shown.outcome in _UNDECIDED:
            raise SnapshotIncomplete(f"{row.public_id} succeeded, and is undecided at the provider")
        if row is not None and row.is_charge and row.is_open and shown.outcome in _DECIDED:
            raise SnapshotIncomplete(f"{row.public_id} is decided at the provider, and open here")


def _objection(
    charge: Operation, row: Operation | None, shown: PspOperation, seen: PspPayment
) -> Objection | None:
    about = row or charge
    if shown.amount.currency != charge.currency:
        return Objection(
            about, f"the provider shows {shown.kind} of {shown.amount}, in another money"
        )
    if row is not None and shown.kind is not PspOperationKind.VOID and shown.amount != row.amount:
        why = f"the provider shows {shown.kind} of {shown.amount}, and we asked for {row.amount}"
        return Objection(about, why)
    if row is None and shown.kind is PspOperationKind.AUTHORIZE:
        return Objection(about, f"the provider shows a second charge of {shown.amount}")
    is_reversed = shown.kind is PspOperationKind.AUTHORIZE and shown.outcome is Outcome.DECLINED
    if is_reversed and charge.status in _APPLIED and _captures(seen):
        why = "the provider undid an authorization of which money was captured"
        return Objection(about, why)
    return None


def _captures(seen: PspPayment) -> bool:
    return any(
        shown.kind is PspOperationKind.CAPTURE and shown.outcome is Outcome.SUCCEEDED
        for shown in seen.operations
    )


def _difference(shown: PspOperation, row: Operation | None) -> Difference | None:
    if row is None:
        return Difference(shown, None) if _counts(shown) else None
    if agrees(row, shown.outcome):
        return None
    if row.is_open:
        decided = shown.outcome in _DECIDED
        accepted = shown.outcome is Outcome.PENDING and row.status in OPERATION_OUTCOME_UNKNOWN
        return Difference(shown, row) if (decided or accepted) and not row.is_charge else None
    revision = revision_of(row.status, shown.outcome)
    return Difference(shown, row, revision) if revision is not None else None


def _counts(shown: PspOperation) -> bool:
    """True for an external change that took effect, and for every external refund."""
    if not shown.amount:
        return False
    if shown.kind is PspOperationKind.REFUND:
        return shown.outcome in (Outcome.SUCCEEDED, Outcome.PENDING, Outcome.DECLINED)
    return shown.outcome is Outcome.SUCCEEDED
