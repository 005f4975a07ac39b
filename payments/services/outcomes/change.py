"""Collects what one outcome changes, and writes it: postings, rows, events and cases.

Everything goes into the caller's transaction. Which changes an outcome causes is decided in
`effects` and `late_and_external`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, Literal

from ledger import posting_rules as rules
from ledger import services as ledger
from ledger.database.statements import Batch
from ledger.money import Money
from ledger.posting_rules import Parties, Posting, Rule
from ledger.selectors import Booking
from payments.amounts import platform_fee
from payments.clock import now_utc
from payments.event_types import WITH_PREVIOUS_ATTRIBUTES
from payments.models import Case, Merchant, Operation, PaymentIntent, Refund, books_of
from payments.objects.charge import charge_object
from payments.objects.payment_intent import payment_intent_object
from payments.objects.refund import refund_object
from payments.selectors.balance import available_on_of
from payments.services.callers.caller import Caller
from payments.services.cases.opening import open_case
from payments.services.outbox.events import EventDraft, events_of, previous_attributes
from payments.services.outcomes import bookings
from payments.services.outcomes.checkout_sessions import drafts_of_session
from payments.services.outcomes.mandates import adopt_mandate, settle_mandate
from payments.services.outcomes.saved_methods import keep_method
from payments.services.psp_gateway.accounts import psp_account_of
from payments.states import OPERATION_OPEN, IntentStatus, OperationStatus
from psp_adapters.contract.operations import PspResult

INTENT_FIELDS: Final = (
    "status",
    "published_status",
    "amount_minor",
    "amount_authorized_minor",
    "amount_held_minor",
    "amount_captured_minor",
    "amount_refunded_minor",
    "amount_refund_pending_minor",
    "amount_excess_minor",
    "amount_over_refunded_minor",
    "payment_method",
    "psp_account",
    "psp_reference",
    "latest_charge_id",
    "next_action_url",
    "last_payment_error",
    "cancellation_reason",
    "canceled_at",
    "authorization_expires_at",
    "event_seq",
    "updated_at",
)
OPERATION_FIELDS: Final = (
    "status",
    "psp_id",
    "psp_payment_id",
    "guard_order",
    "guards_order",
    "code",
    "decline_code",
    "message",
    "detail",
    "redirect_url",
    "network_charge_id",
    "balance_transaction_id",
    "failure_balance_transaction_id",
    "lease_until",
    "next_check_at",
    "checks",
    "revisions",
    "excess_minor",
    "excess_returned_minor",
    "platform_fee_minor",
    "reversal_due_at",
    "closed_at",
)
REFUND_FIELDS: Final = ("status", "failure_reason", "updated_at")

Shown = Literal["intent", "charge", "refund"]


def _today() -> date:
    """The present day in UTC, as the books count days."""
    return datetime.now(UTC).date()


@dataclass(slots=True, kw_only=True)
class Change:
    """What one outcome does to locked rows, collected in memory."""

    merchant: Merchant
    psp_account_code: str
    intent: PaymentIntent
    operation: Operation
    charge: Operation
    """The charging operation that the operation is about, or the operation itself."""
    refund: Refund | None
    result: PspResult
    answered: bool
    """True once the request that began the operation has its answer."""
    settlement_delay_days: int = 0
    """Days from a capture until its money counts as available."""
    postings: list[Posting] = field(default_factory=list)
    emitted: list[tuple[str, Shown]] = field(default_factory=list)
    shown_before: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What charge and refund showed before, by name; objects not shown yet are missing."""
    intent_passes_through: list[IntentStatus] = field(default_factory=list)
    """Statuses between the old and the new one: PostgreSQL accepts legal steps only."""
    cases: list[Case] = field(default_factory=list)
    """Cases for an operator, opened in the same transaction."""
    keeps_method: bool = False
    """True for a charge that succeeded and keeps its payment method for later payments."""
    source_type: str = ""
    """The source type of the postings; by default that of the operation's last result."""
    books_anew: bool = False
    """True if nothing happened to the operation: it is booked as what its charge is by now."""

    @classmethod
    def of(
        cls,
        *,
        merchant: Merchant,
        intent: PaymentIntent,
        operation: Operation,
        charge: Operation,
        refund: Refund | None,
        result: PspResult,
        answered: bool,
    ) -> Change:
        """An empty change of locked rows, with the terms of the PSP account.

        It keeps what the charge and the refund show before it. A charge that is still open counts
        as not shown yet if it is the operation itself.
        """
        account = psp_account_of(operation.psp_account_id)
        change = cls(
            merchant=merchant,
            psp_account_code=account.code,
            settlement_delay_days=account.settlement_delay_days,
            intent=intent,
            operation=operation,
            charge=charge,
            refund=refund,
            result=result,
            answered=answered,
        )
        names = [] if charge is operation and charge.status in OPERATION_OPEN else ["charge"]
        names += ["refund"] if refund is not None else []
        change.shown_before = {name: _RENDER[name](change) for name in names}
        return change

    def emit(self, event: str, shown: Shown) -> None:
        """Emit an event; its object is rendered after the whole change is made."""
        self.emitted.append((event, shown))

    def emit_status(self, event: str) -> None:
        """Emit an event about the intent's status; none once a final one is published: it stays."""
        if not self.intent.published_status:
            self.emit(event, "intent")

    def emit_if_answered(self, event: str) -> None:
        """The same if the request was answered: that answer is outdated."""
        if self.answered:
            self.emit_status(event)

    def publish(self, status: Literal["succeeded", "canceled"]) -> None:
        """Publish a final status, with its event, unless one is published."""
        self.emit_status(f"payment_intent.{status}")
        self.intent.published_status = self.intent.published_status or status

    @property
    def parties(self) -> Parties:
        """Whose accounts the change books to."""
        merchant = books_of(self.merchant.id, livemode=self.intent.livemode)
        return Parties(psp_account=self.psp_account_code, merchant=merchant)

    def post(self, rule: Rule, amount: Money) -> None:
        """Book an amount by a rule, and move the counter that goes with it; nothing for zero."""
        if not amount:
            return
        posting = rule(self.parties, amount)
        self._book(replace(posting, available_on=self._available_on(posting.rule)))

    def post_capture(self, amount: Money, *, fee: bool = True) -> None:
        """Capture, and our fee of it, which follows from all captures of the charge together."""
        before = Money(self.intent.amount_captured_minor, amount.currency)
        self.post(rules.capture_memo, amount)
        self.post(rules.captured, amount)
        if fee:
            basis_points = self.merchant.platform_fee_basis_points
            due = platform_fee(before, amount, basis_points=basis_points)
            self.operation.platform_fee_minor = due.minor
            self.post(rules.platform_fee, due)

    def _book(self, posting: Posting) -> None:
        self.postings.append(posting)
        self._count(posting, 1)

    def _available_on(self, rule: str) -> date | None:
        """The day from which the merchant may have the money of a rule; None if it is at once."""
        if rule in bookings.AVAILABLE_AFTER_SETTLEMENT:
            return self._captured_available_on()
        if rule in bookings.AVAILABLE_WITH_CHARGE:
            day = _available_on_of_charge(self.charge)
            return day if day is not None and day > _today() else None
        return None

    def _captured_available_on(self) -> date | None:
        """An estimate until the PSP's settlement report is read."""
        if self.result.available_at_once or not self.settlement_delay_days:
            return None
        return _today() + timedelta(days=self.settlement_delay_days)

    def reverse(self, booking: Booking) -> None:
        """Reverse one booking, in the counters too."""
        self.postings.append(rules.reversal_of(booking.posting, reverses=booking.id))
        self._count(booking.posting, -1)

    def post_again(self, posting: Posting) -> None:
        """Book once more what had been reversed, in the counters too."""
        after_settlement = posting.rule in bookings.AVAILABLE_AFTER_SETTLEMENT
        available_on = self._captured_available_on() if after_settlement else None
        self._book(replace(posting, available_on=available_on))

    def _count(self, posting: Posting, sign: int) -> None:
        for counter, effect in bookings.COUNTERS.get(posting.rule, {}).items():
            added_minor = sign * effect * posting.lines[0].amount.minor
            setattr(self.intent, counter, getattr(self.intent, counter) + added_minor)

    def update_over_refund(self) -> None:
        """Set by how much refunds, pending ones included, exceed what was captured."""
        intent = self.intent
        returned_minor = intent.amount_refunded_minor + intent.amount_refund_pending_minor
        over_minor = max(0, returned_minor - intent.amount_captured_minor)
        intent.amount_excess_minor += over_minor - intent.amount_over_refunded_minor
        intent.amount_over_refunded_minor = over_minor


_STATUS_AND_AMOUNTS: Final = (
    "status",
    "amount_authorized_minor",
    "amount_held_minor",
    "amount_captured_minor",
    "amount_refunded_minor",
    "amount_refund_pending_minor",
    "amount_excess_minor",
    "amount_over_refunded_minor",
)
_RENDER: Final = {
    "intent": lambda change: payment_intent_object(change.intent),
    "charge": lambda change: charge_object(change.charge, change.intent),
    "refund": lambda change: refund_object(change.refund, change.intent, change.operation),
}


def _available_on_of_charge(charge: Operation) -> date | None:
    """When the money of a charge becomes available; None if it was at once, or none was taken."""
    identifier = charge.balance_transaction_id
    return available_on_of(identifier) if identifier is not None else None


def put_change(batch: Batch, change: Change, caller: Caller) -> None:
    """Post the change, and put its rows and events into the batch; its rows must be locked or new.

    What the ledger raises is raised here; the caller's transaction must then end.
    """
    intent, operation = change.intent, change.operation
    if operation.is_charge:
        stated = change.result.network_transaction_id
        operation.network_charge_id = stated or operation.network_charge_id
    _post(change)
    intent.updated_at = now_utc()
    _write_statuses_on_the_way(change)
    bank_decides = change.charge.status == OperationStatus.PENDING
    drafts = [*_event_drafts(change), *drafts_of_session(intent, bank_decides=bank_decides)]
    events = events_of(intent, drafts, caller)
    batch.update(intent, INTENT_FIELDS).update(operation, OPERATION_FIELDS).insert(*events)
    if change.charge is not operation:
        batch.update(change.charge, OPERATION_FIELDS)
    if change.refund is not None:
        change.refund.updated_at = intent.updated_at
        batch.update(change.refund, REFUND_FIELDS)
    for case in change.cases:
        open_case(case)
    is_kept = False
    if change.keeps_method and operation.payment_method_id is not None:
        # The payment stands, also if the method was detached or its customer deleted meanwhile.
        is_kept = keep_method(
            batch,
            method_id=operation.payment_method_id,
            customer_id=intent.customer_id,
            network_transaction_id=change.result.network_transaction_id,
            stored_token=change.result.stored_token,
            caller=caller,
        )
    if is_kept and change.result.mandate_reference:
        adopt_mandate(batch, operation, change.result.mandate_reference)
    if not change.charge.is_open:
        settle_mandate(batch, change.charge.mandate_id, kept=is_kept)


def _post(change: Change) -> None:
    """Post the change; note which ledger transaction changed what we owe the merchant."""
    if not change.postings:
        return
    operation = change.operation
    identifiers = ledger.post(
        change.postings,
        source_type=change.source_type or _source_type_of(operation),
        source_id=operation.id,
        payment_id=change.intent.id,
        merchant_id=change.intent.merchant_id,
        psp_account=change.psp_account_code,
    )
    for posting, identifier in zip(change.postings, identifiers, strict=True):
        if posting.rule in bookings.BALANCE_TRANSACTION:
            operation.balance_transaction_id = identifier
            if change.charge.balance_transaction_id is None:
                change.charge.balance_transaction_id = identifier
        elif posting.rule in bookings.FAILURE_BALANCE_TRANSACTION and not change.books_anew:
            operation.failure_balance_transaction_id = identifier


def _source_type_of(operation: Operation) -> str:
    """Each late outcome of an operation posts under a source type of its own."""
    return f"operation/{operation.revisions}" if operation.revisions else "operation"


def _write_statuses_on_the_way(change: Change) -> None:
    """Write each status in between: PostgreSQL checks every single step."""
    intent = change.intent
    final = intent.status
    for status in change.intent_passes_through:
        intent.__dict__["status"] = status
        Batch().update(intent, _STATUS_AND_AMOUNTS).execute()
    intent.__dict__["status"] = final


def _event_drafts(change: Change) -> list[EventDraft]:
    """Render each object once, as it is after the whole change.

    Events with `previous_attributes` are left out if the object shows no difference.
    """
    shown: dict[str, dict[str, Any]] = {}
    drafts = []
    for type_, name in change.emitted:
        if name not in shown:
            shown[name] = _RENDER[name](change)
        previous = None
        if type_ in WITH_PREVIOUS_ATTRIBUTES and name in change.shown_before:
            previous = previous_attributes(change.shown_before[name], shown[name])
            if not previous:
                continue
        drafts.append(EventDraft(type_, shown[name], previous))
    return drafts
