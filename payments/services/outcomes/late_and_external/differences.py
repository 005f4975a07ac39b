"""Compares a PSP's snapshot of a payment with our rows, operation by operation. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
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

    @property
    def is_about_charge(self) -> bool:
        return self.operation is not None and self.operation.is_charge


@dataclass(frozen=True, slots=True)
class Objection:
    """Something that the PSP shows and that cannot be booked."""

    operation: Operation
    why: str


@dataclass(slots=True)
class Comparison:
    """How a snapshot differs from our rows: the charge first, the rest in the PSP's order."""

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
    listed, contradictory = _each_once(seen.operations)
    pairs = _pairs(ours, listed)
    _require_complete(ours, pairs)
    if seen.held.currency != charge.currency:
        # Nothing can be booked beside a hold that cannot.
        why = f"the provider holds {seen.held}, of a charge of {charge.amount}"
        return Comparison(objections=[Objection(charge, why)])
    comparison = Comparison()
    for shown, row in pairs:
        why = contradictory.get(_name_of(shown)) or _why_not(charge, row, shown, seen)
        if why:
            comparison.objections.append(Objection(row or charge, why))
        elif row is not None and not row.is_open and shown.outcome in _UNDECIDED:
            comparison.undecided = row
        elif (difference := _difference(shown, row)) is not None:
            comparison.differences.append(difference)
    comparison.differences.sort(key=lambda each: not each.is_about_charge)  # stable
    return comparison


_Name = tuple[str, str]
"""Kind and PSP id: what tells one operation of a PSP from another."""


def _name_of(shown: PspOperation) -> _Name:
    return shown.kind.value, shown.psp_id


def _each_once(
    operations: Iterable[PspOperation],
) -> tuple[list[PspOperation], dict[_Name, str]]:
    """Each operation once, however often it is listed, and why some cannot be booked.

    These are the ones that are listed with different outcomes or amounts. Expiries are left out: no
    row of ours corresponds.
    """
    by_name: dict[_Name, list[PspOperation]] = defaultdict(list)
    for shown in operations:
        if shown.kind is not PspOperationKind.EXPIRE:
            by_name[_name_of(shown)].append(shown)
    contradictory = {}
    for name, listed in by_name.items():
        said = dict.fromkeys(f"{each.outcome} with {each.amount}" for each in listed)
        if len(said) > 1:
            contradictory[name] = f"the provider lists one {name[0]} as {' and as '.join(said)}"
    return [listed[0] for listed in by_name.values()], contradictory


def _pairs(
    ours: Sequence[Operation], operations: Sequence[PspOperation]
) -> list[tuple[PspOperation, Operation | None]]:
    """Each operation of the PSP with our row.

    A second operation under one reference of ours is an external one: it has an id of its own.
    """
    by_id = {o.id: o for o in ours}
    by_psp_id = {(o.kind, o.psp_id): o for o in ours if o.psp_id}
    named: dict[object, str] = {}
    pairs: list[tuple[PspOperation, Operation | None]] = []
    for shown in operations:
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


def _why_not(
    charge: Operation, row: Operation | None, shown: PspOperation, seen: PspPayment
) -> str:
    """Why what is shown of one operation cannot be booked; empty if it can."""
    if shown.amount.currency != charge.currency:
        return f"the provider shows {shown.kind} of {shown.amount}, in another money"
    if row is not None and shown.kind is not PspOperationKind.VOID and shown.amount != row.amount:
        return f"the provider shows {shown.kind} of {shown.amount}, and we asked for {row.amount}"
    if row is None and shown.kind is PspOperationKind.AUTHORIZE:
        return f"the provider shows a second charge of {shown.amount}"
    is_reversed = shown.kind is PspOperationKind.AUTHORIZE and shown.outcome is Outcome.DECLINED
    if is_reversed and charge.status in _APPLIED and _captures(seen):
        return "the provider undid an authorization of which money was captured"
    return ""


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
