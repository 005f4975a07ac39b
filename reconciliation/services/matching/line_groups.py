"""All lines about one operation together: what they say to have moved, and what that is.

A PSP may settle an amount in parts, or report a charge with all that was authorized, and reverse by
another line what was not captured. So lines match their operation by their sum. Lines that were
given up count for nothing. `recorded_operations` has the same rule for many lines at once, and
`lines_of_operations_equal_the_books.sql` holds PostgreSQL to it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from django.db.models import QuerySet

from ledger.money import Money
from payments.models import Operation
from payments.states import OperationStatus as S
from psp_adapters.contract.operations import OperationKind as K
from psp_adapters.contract.settlement_reports import (
    CHARGE_LINES,
    OPERATION_LINES,
    REFUND_LINES,
    LineKind,
)
from reconciliation.discrepancies import Discrepancy
from reconciliation.models import SettlementLine
from reconciliation.states import LINE_GIVEN_UP, LineStatus

APPLIED: Final = frozenset({S.SUCCEEDED, S.EXCESS})
"""The operation has moved its money, and was not reversed."""
WAS_APPLIED: Final = APPLIED | {S.REVERSED}
SIGNS: Final = {
    LineKind.CHARGE: 1,
    LineKind.CHARGE_FAILURE: -1,
    LineKind.PARTIAL_CAPTURE_REVERSAL: -1,
    LineKind.REFUND: -1,
    LineKind.REFUND_FAILURE: 1,
}
"""The sign of a line of each kind, in what the PSP holds for us."""
PARTS: Final = frozenset({Discrepancy.PARTIAL_SETTLEMENT, Discrepancy.AMOUNT_MISMATCH})
"""Of lines that may be parts of an amount whose rest comes later."""
WAITS_FOR_OTHERS: Final = PARTS | {Discrepancy.AMBIGUOUS}
"""Of lines that another one may help to match."""

assert set(SIGNS) == OPERATION_LINES


@dataclass(frozen=True, slots=True)
class LineGroup:
    """The lines about one operation, a line of it among them."""

    sum_minor: int
    """Of their gross amounts, in the currency of the payment."""
    is_alone: bool
    """No other one has the amount of this line, or moves money the other way."""


def family_of(kind: str) -> Collection[LineKind]:
    """The kinds of lines that are about the same operation as a line of this kind."""
    return REFUND_LINES if kind in REFUND_LINES else CHARGE_LINES


def signed_minor(operation: Operation) -> int:
    """By how much the operation changes what the PSP holds for us, once it is applied."""
    return -operation.amount_minor if operation.kind == K.REFUND else operation.amount_minor


def group_of(line: SettlementLine) -> LineGroup:
    """The lines that were not given up, and this one."""
    members = {line.pk: line.paid_minor}
    counted = _like(line).exclude(status__in=sorted(LINE_GIVEN_UP))
    for key, kind, minor in counted.values_list(*_READ):
        if minor * SIGNS[LineKind(kind)] > 0:
            members[key] = minor
    own = line.paid_minor
    others = [minor for key, minor in members.items() if key != line.pk]
    return LineGroup(sum(members.values()), all(o != own and o * own > 0 for o in others))


def given_up_others(line: SettlementLine) -> list[SettlementLine]:
    """Lines about the same operation that were given up and that this one may help; locked."""
    found = _like(line).filter(status=LineStatus.DEAD, discrepancy__in=WAITS_FOR_OTHERS)
    return list(found.select_for_update(of=("self",)).order_by("pk"))


_READ: Final = ("pk", "kind", "paid_minor")


def _like(line: SettlementLine) -> QuerySet[SettlementLine]:
    return SettlementLine.objects.filter(
        psp_account_id=line.psp_account_id,
        psp_id=line.psp_id,
        paid_currency=line.paid_currency,
        kind__in=[kind.value for kind in family_of(line.kind)],
    ).exclude(pk=line.pk)


def agrees(operation: Operation, paid: Money, group: LineGroup) -> bool:
    """Does the operation's final status agree with a line, and with all lines about it?

    They sum to the operation; or the line alone is the operation, and the others are parts of
    nothing.
    """
    whole = signed_minor(operation)
    if paid.currency != operation.currency:
        return False
    if operation.status in APPLIED:
        return group.sum_minor == whole or (paid.minor == whole and group.is_alone)
    return operation.status == S.REVERSED and group.sum_minor == 0


def is_whole(line: SettlementLine, operation: Operation) -> bool:
    """Whether the line is about all of the operation, and about nothing else."""
    return line.psp_id == operation.psp_id and abs(line.paid_minor) == operation.amount_minor


def can_agree(operation: Operation, group: LineGroup) -> bool:
    """Whether these lines would agree with the operation, if the PSP shows another status of it."""
    return group.sum_minor in (0, signed_minor(operation))


def discrepancy_of_group(operation: Operation, paid_minor: int, group: LineGroup) -> Discrepancy:
    """The code of a line that does not agree with its operation."""
    whole = signed_minor(operation)
    moved_minor = group.sum_minor if whole > 0 else -group.sum_minor
    if abs(paid_minor) > abs(whole):
        return Discrepancy.AMOUNT_MISMATCH
    if 0 < moved_minor < abs(whole):
        return Discrepancy.PARTIAL_SETTLEMENT
    if moved_minor <= abs(whole):
        return Discrepancy.STATUS_MISMATCH
    is_whole = paid_minor == whole
    return Discrepancy.DUPLICATE_AT_PSP if is_whole else Discrepancy.AMOUNT_MISMATCH


def disagreement(operation: Operation, group: LineGroup) -> str:
    """Why lines do not match their operation."""
    moved = Money(group.sum_minor, operation.currency)
    whole = Money(signed_minor(operation), operation.currency)
    return f"{operation.public_id} of {whole} is {operation.status}, by its lines {moved} moved"
