"""The timeline of one payment: what each table knows of it, as dated entries. Reads only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from itertools import groupby
from operator import attrgetter, or_
from typing import Final

from django.db.models import Q, QuerySet

from ledger.chart import CHART, Direction
from ledger.money import Money
from ledger.selectors import entries_of_payment
from payments.models import (
    Case,
    Delivery,
    Dispute,
    DisputeResponse,
    Event,
    IdempotencyKey,
    Operation,
    PaymentIntent,
    PspNotification,
)
from psp_adapters.contract.settlement_reports import LineKind
from reconciliation.models import SettlementLine
from reconciliation.states import LineStatus

ROWS_MOST: Final = 1_000
"""Of each table; the longest lives of payments have some hundred."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineEntry:
    """What one row says of the payment."""

    at: datetime
    source: str
    """Where it is from: request, operation, notification, ledger, event and so on."""
    text: str


def timeline_of(intent: PaymentIntent, lines: list[SettlementLine]) -> list[TimelineEntry]:
    """Everything that is known of the payment, in the order in which it happened.

    `lines` are those of `lines_of`.
    """
    operations = list(intent.operations.order_by("id").select_related("psp_account")[:ROWS_MOST])
    entries = [
        *_requests(intent),
        *_operations(operations),
        *_notifications(intent, operations),
        *_ledger(intent),
        *_events(intent),
        *_deliveries(intent),
        *_disputes(intent),
        *_lines(lines),
        *_cases(intent),
    ]
    return sorted(entries, key=attrgetter("at"))


def lines_of(intent: PaymentIntent) -> QuerySet[SettlementLine]:
    """The first ROWS_MOST settlement lines about the payment, by the PSP's ids of it."""
    operations = intent.operations.values_list("psp_account_id", "psp_id", "psp_payment_id")
    disputes = intent.disputes.values_list("psp_account_id", "psp_dispute_id")
    acts = {*((account, psp_id) for account, psp_id, _ in operations), *disputes}
    payments = {(account, psp_payment_id) for account, _, psp_payment_id in operations}
    named = [Q(psp_account_id=account, psp_id=psp_id) for account, psp_id in acts if psp_id]
    # `<> ''` lets PostgreSQL use the partial index.
    named += [
        Q(psp_account_id=account, psp_payment_id=each) & ~Q(psp_payment_id="")
        for account, each in payments
        if each
    ]
    rows = SettlementLine.objects.filter(reduce(or_, named, Q(pk__in=())))
    return rows.select_related("report").order_by("id")[:ROWS_MOST]


def _requests(intent: PaymentIntent) -> Iterator[TimelineEntry]:
    """Those that changed the payment, as long as their idempotency keys are kept."""
    told = Event.objects.filter(aggregateid=intent.pk).exclude(idempotency_key="")
    names = {intent.idempotency_key, *told.values_list("idempotency_key", flat=True)} - {""}
    keys = IdempotencyKey.objects.filter(
        merchant_id=intent.merchant_id, livemode=intent.livemode, key__in=names
    )
    for key in keys.order_by("id").defer("answer_body")[:ROWS_MOST]:
        answered = f"answered {key.answer_status}" if key.answer_status else "not answered yet"
        text = f"{key.request_id} with the idempotency key {key.key}: {answered}"
        yield TimelineEntry(at=key.created_at, source="request", text=text)


def _operations(operations: list[Operation]) -> Iterator[TimelineEntry]:
    for each in operations:
        what = f"{each.public_id} {each.kind} {each.amount} at {each.psp_account.code}"
        begun = f"{what}, by {each.actor}"
        yield TimelineEntry(at=each.created_at, source="operation", text=begun)
        if each.closed_at is not None:
            named = f" ({each.psp_id})" if each.psp_id else ""
            why = f": {each.decline_code or each.code}" if each.code else ""
            ended = f"{each.public_id} is {each.status}{named}{why}"
            yield TimelineEntry(at=each.closed_at, source="operation", text=ended)


def _notifications(intent: PaymentIntent, operations: list[Operation]) -> Iterator[TimelineEntry]:
    named = [
        Q(psp_account_id=each.psp_account_id, psp_payment_id=each.psp_payment_id)
        for each in operations
        if each.psp_payment_id
    ]
    named += [
        Q(psp_account_id=account, psp_dispute_id=psp_dispute_id)
        for account, psp_dispute_id in intent.disputes.values_list(
            "psp_account_id", "psp_dispute_id"
        )
    ]
    rows = PspNotification.objects.filter(reduce(or_, named, Q(pk__in=())))
    for row in rows.order_by("received_at").defer("body", "headers")[:ROWS_MOST]:
        text = f"{row.type} {row.event_id}: {row.status}"
        yield TimelineEntry(at=row.received_at, source="notification", text=text)


def _ledger(intent: PaymentIntent) -> Iterator[TimelineEntry]:
    """Each transaction, with what it changed on each account, and the account's sum after it."""
    sums: defaultdict[tuple[int, str, str], int] = defaultdict(int)
    rows = entries_of_payment(intent.pk)[: 4 * ROWS_MOST]
    for transaction, entries in groupby(rows, key=attrgetter("transaction")):
        changes = []
        for entry in entries:
            account = entry.account
            minor = entry.amount_minor * (1 if entry.direction == Direction.DEBIT else -1)
            key = (account.code, account.dimension, account.currency)
            sums[key] += minor
            change, total = Money(minor, entry.currency), Money(sums[key], entry.currency)
            changes.append(f"{account.code} {CHART[account.code].name} {change} = {total}")
        text = f"{transaction.rule}: {'; '.join(changes)}"
        yield TimelineEntry(at=transaction.posted_at, source="ledger", text=text)


def _events(intent: PaymentIntent) -> Iterator[TimelineEntry]:
    rows = Event.objects.filter(aggregateid=intent.pk).order_by("seq").defer("payload")
    for event in rows[:ROWS_MOST]:
        text = f"{event.seq} {event.type} {event.public_id}, by {event.actor}"
        yield TimelineEntry(at=event.created_at, source="event", text=text)


def _deliveries(intent: PaymentIntent) -> Iterator[TimelineEntry]:
    rows = Delivery.objects.filter(aggregateid=intent.pk).select_related("endpoint")
    for each in rows.order_by("id")[:ROWS_MOST]:
        answer = f", last answer {each.last_status}" if each.last_status else ""
        text = (
            f"event {each.seq} to {each.endpoint.public_id}: {each.status} after "
            f"{each.attempts} attempts{answer}"
        )
        yield TimelineEntry(at=each.ended_at or each.created_at, source="delivery", text=text)


def _disputes(intent: PaymentIntent) -> Iterator[TimelineEntry]:
    disputes: QuerySet[Dispute] = intent.disputes.order_by("id")
    for each in disputes[:ROWS_MOST]:
        opened = f"{each.public_id} ({each.psp_dispute_id}) about {each.amount}: {each.reason}"
        yield TimelineEntry(at=each.opened_at, source="dispute", text=opened)
        if each.closed_at is not None:
            ended = f"{each.public_id} is {each.status}"
            yield TimelineEntry(at=each.closed_at, source="dispute", text=ended)
    responses = DisputeResponse.objects.filter(dispute__intent=intent).order_by("id")
    for response in responses[:ROWS_MOST]:
        text = f"{response.public_id} {response.kind}: {response.status}, by {response.actor}"
        yield TimelineEntry(at=response.created_at, source="dispute", text=text)


def _lines(lines: list[SettlementLine]) -> Iterator[TimelineEntry]:
    payouts: defaultdict[tuple[object, str], list[str]] = defaultdict(list)
    rows = SettlementLine.objects.filter(
        report_id__in={line.report_id for line in lines}, kind=LineKind.PAYOUT.value
    )
    for payout in rows.select_related("bank_line__statement")[:ROWS_MOST]:
        payouts[payout.report_id, payout.currency].append(_payout_in_words(payout))
    for line in lines:
        paid = ", ".join(payouts[line.report_id, line.currency])
        said = f"{line.kind} {_amount_of(line)}, fee {line.fee}"
        text = (
            f"{line.report.name} line {line.number}: {said}, "
            f"{line.status}{f', paid out by {paid}' if paid else ''}"
            f"{'' if line.status == LineStatus.MATCHED else f': {line.last_error}'}"
        )
        yield TimelineEntry(at=line.stored_at, source="settlement", text=text)


def _amount_of(line: SettlementLine) -> str:
    return f"{line.paid} settled as {line.gross}" if line.conversion else str(line.gross)


def _payout_in_words(payout: SettlementLine) -> str:
    """The payout, and where on which bank statement it is."""
    name = payout.psp_id or payout.identity
    bank_line = getattr(payout, "bank_line", None)
    if bank_line is None:
        return name
    statement = f"bank statement {bank_line.statement.reference} line {bank_line.number}"
    return f"{name} ({statement}, {bank_line.booked_on})"


def _cases(intent: PaymentIntent) -> Iterator[TimelineEntry]:
    for case in Case.objects.filter(intent_id=intent.pk).order_by("id")[:ROWS_MOST]:
        opened = f"{case.public_id} {case.kind}: {case.summary}"
        yield TimelineEntry(at=case.opened_at, source="case", text=opened)
        # Of one that an operator closed, the staff's acts say so.
        if case.closed_at is not None and not case.closed_by.startswith("staff:"):
            closed = f"{case.public_id} closed by {case.closed_by}: {case.resolution}"
            yield TimelineEntry(at=case.closed_at, source="case", text=closed)
