"""What of one payment is finished, open, and unexplained. Reads only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Final
from uuid import UUID

from ledger.chart import CHART
from ledger.money import Money
from ledger.selectors import entries_of_payment
from payments.clock import now_utc
from payments.models import Approval, ApprovalStatus, Case, Delivery, PaymentIntent
from payments.services.verification.rebuild import differences_of, one_snapshot
from payments.states import OPERATION_OPEN, CaseStatus, DeliveryStatus
from reconciliation.models import SettlementLine
from reconciliation.services.expectations.open_items import expected_until
from reconciliation.services.explanation.staff_acts import staff_acts_of
from reconciliation.services.explanation.timeline import TimelineEntry, lines_of, timeline_of
from reconciliation.states import LINE_WAITING, LineStatus

_WAITS_FOR: Final = {
    1100: "captured, and not in a settlement report yet",
    1300: "withdrawn for a chargeback that is not decided yet",
    2200: "refunded, and not in a settlement report yet",
    2300: "held back until a chargeback is decided",
    9100: "authorized, neither captured nor released",
}
"""Open item accounts of a payment, with what a balance of them waits for. Of pairs, one side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One payment, explained."""

    intent: PaymentIntent
    timeline: list[TimelineEntry]
    open: list[str]
    """What is expected to change by itself, or waits for the merchant, the PSP or an operator."""
    unexplained: dict[str, Money]
    """By currency: the net of its settlement lines that were given up, each taken positive."""
    differences: list[str]
    """Where the payment, its operations and its ledger entries do not agree."""

    @property
    def is_explained(self) -> bool:
        return not (self.differences or any(self.unexplained.values()))


def explain_payment(payment_id: UUID) -> Explanation:
    """The whole of one payment: its timeline, what is open, and its unexplained remainder.

    Reads one snapshot, so that a change under way is no difference; not inside a transaction.
    Raises PaymentIntent.DoesNotExist.
    """
    with one_snapshot():
        intent = PaymentIntent.objects.get(pk=payment_id)
        lines = list(lines_of(intent))
        return Explanation(
            intent=intent,
            timeline=sorted(
                [*timeline_of(intent, lines), *staff_acts_of(intent, lines)], key=attrgetter("at")
            ),
            open=[
                *_open_operations(intent),
                *_open_items(intent),
                *_open_lines(lines),
                *_open_work(intent),
            ],
            unexplained=_unexplained(intent, lines),
            differences=list(differences_of([intent])),
        )


def _open_operations(intent: PaymentIntent) -> Iterator[str]:
    for each in intent.operations.filter(status__in=sorted(OPERATION_OPEN)).order_by("id"):
        due = f"{each.next_check_at:%Y-%m-%d %H:%M:%S}" if each.next_check_at else "none"
        what = f"{each.public_id} {each.kind} {each.amount} is {each.status}"
        yield f"{what}, next look-up {due}"


def _open_items(intent: PaymentIntent) -> Iterator[str]:
    """Balances of open item accounts: what the PSP or a bank has still to tell."""
    sums: defaultdict[tuple[int, str], int] = defaultdict(int)
    for entry in entries_of_payment(intent.pk):
        side = CHART[entry.account.code].normal_side
        minor = entry.amount_minor if entry.direction == side else -entry.amount_minor
        sums[entry.account.code, entry.currency] += minor
    until = expected_until(intent.pk)
    for (code, currency), minor in sorted(sums.items()):
        if minor and code in _WAITS_FOR:
            why = f"{_WAITS_FOR[code]}{_when(until.get((code, currency)))}"
            yield f"{code} {CHART[code].name} {Money(minor, currency)}: {why}"


def _when(expected: datetime | None) -> str:
    if expected is None:
        return ""
    stage = "expected until" if now_utc() < expected else "OVERDUE since"
    return f", {stage} {expected:%Y-%m-%d %H:%M} UTC"


def _open_lines(lines: list[SettlementLine]) -> Iterator[str]:
    for line in lines:
        if line.status in LINE_WAITING:
            why = f": {line.last_error}" if line.last_error else ""
            yield f"settlement line {line.identity} {line.net} is {line.status}{why}"


def _open_work(intent: PaymentIntent) -> Iterator[str]:
    waiting = Delivery.objects.filter(aggregateid=intent.pk, status=DeliveryStatus.PENDING)
    for delivery in waiting.select_related("endpoint").order_by("id"):
        yield f"event {delivery.seq} is not delivered to {delivery.endpoint.public_id} yet"
    waiting_approvals = Approval.objects.filter(
        intent_id=intent.pk, status=ApprovalStatus.REQUESTED
    )
    for approval in waiting_approvals.order_by("id"):
        until = f"{approval.expires_at:%Y-%m-%d %H:%M} UTC"
        what = f"{approval.command} {approval.amount} of {approval.subject}"
        yield f"{what} waits for approval until {until} ({approval.public_id})"
    for case in Case.objects.filter(intent_id=intent.pk, status=CaseStatus.OPEN).order_by("id"):
        yield f"{case.public_id} {case.kind} is open: {case.summary}"


def _unexplained(intent: PaymentIntent, lines: list[SettlementLine]) -> dict[str, Money]:
    found: dict[str, Money] = {intent.currency: Money.zero(intent.currency)}
    for line in lines:
        if line.status == LineStatus.DEAD:
            before = found.get(line.currency, Money.zero(line.currency))
            found[line.currency] = before + Money(abs(line.net.minor), line.currency)
    return found
