"""Matches a line that names a payment to the captures of it that the line is about.

Some PSPs report by payment, however often it was captured. Then a line has a share of each capture
that it settles: of those whose amounts are exactly its own, if there is only one such choice, and
no other line explains them. If all lines that wait are all that is left, no choice is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from django.db.models import Sum

from payments.models import Operation
from payments.selectors.payments import newest_charge_of_psp_payment
from payments.services.psp_gateway.queries import Inconclusive
from payments.services.recovery.payment_sync import sync_payment
from payments.states import OPERATION_OPEN
from psp_adapters.contract.operations import OperationKind
from psp_adapters.contract.settlement_reports import CHARGE_LINES, LineKind
from reconciliation.discrepancies import Discrepancy
from reconciliation.models import SettlementLine, SettlementShare
from reconciliation.services.matching.dispute_line_facts import LineConflict
from reconciliation.services.matching.line_groups import APPLIED, SIGNS
from reconciliation.services.matching.operation_lines import reported_amount
from reconciliation.states import LINE_GIVEN_UP, LINE_WAITING

_SUMS_MOST: Final = 5_000
"""Of more captures than have so many different sums, no choice is the only one."""


class LineWaits(Inconclusive):
    """Another line or capture must come first; says as what the line waits."""

    def __init__(self, why: str, *, code: Discrepancy) -> None:
        super().__init__(why)
        self.code = code


@dataclass(frozen=True, slots=True)
class Share:
    """How much of a line is about one capture."""

    capture: Operation
    minor: int


def captures_of_payment(line: SettlementLine, *, lock: bool = False) -> list[Operation]:
    """The captures of the payment that the line names, the oldest first.

    Empty if it names an operation: also the one capture of a payment that has the payment's id.
    """
    if line.kind not in CHARGE_LINES or not line.psp_id:
        return []
    charge = newest_charge_of_psp_payment(line.psp_account_id, line.psp_id)
    if charge is None or charge.capture_now:
        return []
    rows = Operation.objects.filter(
        intent_id=charge.intent_id, charge_id=charge.id, kind=OperationKind.CAPTURE.value
    )
    rows = rows.select_for_update(of=("self",)) if lock else rows.select_related("intent")
    captures = list(rows.order_by("id"))
    is_one = [each.psp_id for each in captures] == [line.psp_id]
    return [] if is_one else captures


def match_payment_line(
    line: SettlementLine, captures: Sequence[Operation], *, actor: str
) -> list[Share]:
    """The line's shares of these captures of its payment; see `captures_of_payment`.

    Asks the PSP once if more is reported than our captures are. Raises Inconclusive, LineConflict,
    and Conflict (a case of its own is open).
    """
    reported_amount(line.reported)
    found = shares_of(line, captures)
    is_more = found in (Discrepancy.AMOUNT_MISMATCH, Discrepancy.DUPLICATE_AT_PSP)
    if is_more or any(each.status in OPERATION_OPEN for each in captures):
        charge = newest_charge_of_psp_payment(line.psp_account_id, line.psp_id)
        assert charge is not None, "the captures are of this charge"
        sync_payment(charge.id, actor=actor)
        captures = captures_of_payment(line)
        found = shares_of(line, captures)
    if not isinstance(found, Discrepancy):
        return found
    why = f"the report says {line.paid} of the payment, captures of it are {_named(captures)}"
    if found in (Discrepancy.AMOUNT_MISMATCH, Discrepancy.CURRENCY_MISMATCH):
        raise LineConflict(why, code=found, intent=captures[0].intent if captures else None)
    raise LineWaits(why, code=found)


def write_shares(line: SettlementLine) -> Operation | Discrepancy:
    """Write the line's shares in the caller's transaction; returns the first capture.

    Or why it has none: another line was first with the captures, which are locked now.
    """
    found = shares_of(line, captures_of_payment(line, lock=True))
    if isinstance(found, Discrepancy):
        return found
    SettlementShare.objects.bulk_create(
        SettlementShare(line=line, operation=each.capture, amount_minor=each.minor)
        for each in found
    )
    return found[0].capture


def operations_of(line: SettlementLine) -> list[UUID]:
    """The operations that a matched line is about: one, or the captures that it has shares of."""
    shared = list(line.shares.order_by("id").values_list("operation_id", flat=True))
    return shared or [each for each in (line.operation_id,) if each is not None]


def _named(captures: Sequence[Operation]) -> str:
    return ", ".join(f"{each.amount} {each.status}" for each in captures) or "none"


def shares_of(line: SettlementLine, captures: Sequence[Operation]) -> list[Share] | Discrepancy:
    """The line's shares by our books; or why it has none. Reads only."""
    if {each.currency for each in captures} - {line.paid_currency}:
        return Discrepancy.CURRENCY_MISMATCH
    left = [(each, _left_of(each, line)) for each in captures]
    same_way = [(each, minor) for each, minor in left if minor * line.paid_minor > 0]
    amounts = [minor for _, minor in same_way]
    found = allotted(line.paid_minor, amounts, waiting_minor=waiting_minor(line))
    if isinstance(found, Discrepancy):
        return found
    pairs = zip(same_way, found, strict=True)
    return [Share(capture, minor) for (capture, _), minor in pairs if minor]


def _left_of(capture: Operation, line: SettlementLine) -> int:
    """How much of a capture no line explains; negative if it was reversed after it settled.

    Nothing of one that a line of its own names.
    """
    if capture.psp_id != line.psp_id and _has_own_line(capture):
        return 0
    shares = SettlementShare.objects.filter(operation=capture)
    settled_minor = shares.aggregate(minor=Sum("amount_minor"))["minor"] or 0
    applied_minor = capture.amount_minor if capture.status in APPLIED else 0
    return int(applied_minor - settled_minor)


def _has_own_line(capture: Operation) -> bool:
    own = SettlementLine.objects.filter(
        psp_account_id=capture.psp_account_id,
        psp_id=capture.psp_id,
        kind__in=[kind.value for kind in CHARGE_LINES],
    )
    return bool(capture.psp_id) and own.exclude(status__in=sorted(LINE_GIVEN_UP)).exists()


def left_of_all(line: SettlementLine, captures: Sequence[Operation]) -> int:
    """How much of these captures no line explains."""
    return sum(_left_of(each, line) for each in captures)


def waiting_minor(line: SettlementLine) -> int:
    """What the line says, with others of its payment that wait to be matched, in its direction."""
    rows = SettlementLine.objects.filter(
        psp_account_id=line.psp_account_id,
        psp_id=line.psp_id,
        paid_currency=line.paid_currency,
        kind__in=[kind.value for kind in CHARGE_LINES],
        status__in=LINE_WAITING,
    )
    others = rows.exclude(pk=line.pk).values_list("kind", "paid_minor")
    return line.paid_minor + sum(
        minor
        for kind, minor in others
        if minor * line.paid_minor > 0 and minor * SIGNS[LineKind(kind)] > 0
    )


def allotted(
    gross_minor: int, left: Sequence[int], *, waiting_minor: int
) -> list[int] | Discrepancy:
    """The parts of a line that are about each of these amounts; or why there are none. Pure."""
    if not left:
        return Discrepancy.DUPLICATE_AT_PSP
    chosen = _sums_to(gross_minor, left)
    if len(chosen) == 1:
        return [minor if place in chosen[0] else 0 for place, minor in enumerate(left)]
    total = sum(left)
    if waiting_minor == total:
        return _filled(gross_minor, left)
    if chosen:
        return Discrepancy.AMBIGUOUS
    is_less = abs(gross_minor) < abs(total)
    return Discrepancy.PARTIAL_SETTLEMENT if is_less else Discrepancy.AMOUNT_MISMATCH


def _filled(gross_minor: int, left: Sequence[int]) -> list[int]:
    """The amount given to the first ones until nothing is left of it."""
    parts = []
    for minor in left:
        part = minor if abs(minor) < abs(gross_minor) else gross_minor
        parts.append(part)
        gross_minor -= part
    return parts


def _sums_to(wanted: int, amounts: Sequence[int]) -> list[frozenset[int]]:
    """The first two choices of places whose amounts sum to `wanted`; all have one sign."""
    sums: dict[int, list[frozenset[int]]] = {0: [frozenset()]}
    for place, amount in enumerate(amounts):
        for total, ways in list(sums.items()):
            if abs(total + amount) > abs(wanted):
                continue
            more = [way | {place} for way in ways]
            sums[total + amount] = [*sums.get(total + amount, []), *more][:2]
        if len(sums) > _SUMS_MOST:
            return [frozenset(), frozenset({place})]
    return sums.get(wanted, [])
