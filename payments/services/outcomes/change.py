"""The change that one outcome makes: the rows it touches, what it posts, which facts it tells.

Collects; services.outcomes writes everything in one transaction. What may not live here: deciding
what an outcome causes (services.effects), SQL.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, Literal

from ledger import posting_rules as rules
from ledger.money import Money
from ledger.posting_rules import Parties, Posting, Rule
from ledger.selectors import Booking
from payments.models import Case, Merchant, Operation, PaymentIntent, Refund, books_of
from payments.services.outcomes import bookings
from payments.services.outcomes.prior_state import Past
from payments.states import IntentStatus
from psp_adapters.contract.operations import PspResult

INTENT_FIELDS: Final = (
    "status",
    "published_status",
    "amount_minor",
    "amount_authorized_minor",
    "amount_captured_minor",
    "amount_refunded_minor",
    "amount_refund_pending_minor",
    "amount_excess_minor",
    "amount_over_refunded_minor",
    "payment_method",
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
    "code",
    "decline_code",
    "message",
    "detail",
    "redirect_url",
    "balance_transaction_id",
    "failure_balance_transaction_id",
    "lease_until",
    "next_check_at",
    "checks",
    "turns",
    "excess_minor",
    "excess_returned_minor",
    "reverse_at",
    "closed_at",
)
REFUND_FIELDS: Final = ("status", "failure_reason", "updated_at")

Shown = Literal["intent", "charge", "refund"]


def _today() -> date:
    """As the books count days."""
    return datetime.now(UTC).date()


@dataclass(slots=True, kw_only=True)
class Change:
    """One outcome at work on locked rows."""

    merchant: Merchant
    psp_account_code: str
    intent: PaymentIntent
    operation: Operation
    charge: Operation
    """The charging operation of the payment; the operation itself if that is one."""
    refund: Refund | None
    result: PspResult
    answered: bool
    """Has the request that began the operation been answered already?"""
    settlement_delay_days: int = 0
    """From a capture until its money counts as available."""
    charge_available_on: date | None = None
    """When the money of the charge counts as available; a refund of it does not before."""
    postings: list[Posting] = field(default_factory=list)
    facts: list[tuple[str, Shown]] = field(default_factory=list)
    shown_before: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What charge and refund showed before, by name; what was not shown yet is not there."""
    intent_passes_through: list[IntentStatus] = field(default_factory=list)
    """Statuses that the intent takes on the way: PostgreSQL must see each legal step."""
    cases: list[Case] = field(default_factory=list)
    """What a person must look at because of it; opened in the same transaction."""
    past: Past | None = None
    """Only for a late word."""

    def tell(self, event: str, shown: Shown) -> None:
        """Tell a fact; its object is rendered after the whole change is made."""
        self.facts.append((event, shown))

    def tell_if_answered(self, event: str) -> None:
        """Tell of the intent, if its request got an answer that is not true any more."""
        if self.answered:
            self.tell(event, "intent")

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
        """Capture, and our fee of it: hundredths of a percent, rounded down to the minor unit."""
        self.post(rules.capture_memo, amount)
        self.post(rules.captured, amount)
        fee_minor = amount.minor * self.merchant.platform_fee_basis_points // 10_000
        if fee:
            self.post(rules.platform_fee, Money(fee_minor, amount.currency))

    def _book(self, posting: Posting) -> None:
        self.postings.append(posting)
        self._count(posting, 1)

    def _available_on(self, rule: str) -> date | None:
        """The day from which the merchant may have the money of a rule; None if it is at once."""
        if rule in bookings.AVAILABLE_AFTER_SETTLEMENT:
            return self._captured_available_on()
        if rule in bookings.AVAILABLE_WITH_CHARGE:
            day = self.charge_available_on
            return day if day is not None and day > _today() else None
        return None

    def _captured_available_on(self) -> date | None:
        """An estimate until the PSP's settlement report is read."""
        if self.result.available_at_once or not self.settlement_delay_days:
            return None
        return _today() + timedelta(days=self.settlement_delay_days)

    def reverse(self, booking: Booking) -> None:
        """Take one booking back, in the counters too."""
        self.postings.append(rules.reversal_of(booking.posting, reverses=booking.id))
        self._count(booking.posting, -1)

    def post_again(self, posting: Posting) -> None:
        """Book once more what had been reversed, in the counters too."""
        after_settlement = posting.rule in bookings.AVAILABLE_AFTER_SETTLEMENT
        available_on = self._captured_available_on() if after_settlement else None
        self._book(replace(posting, available_on=available_on))

    def _count(self, posting: Posting, sign: int) -> None:
        counter = bookings.COUNTERS.get(posting.rule)
        if counter is not None:
            minor = getattr(self.intent, counter) + sign * posting.lines[0].amount.minor
            setattr(self.intent, counter, minor)

    def held_after(self) -> Money:
        """What the books will say is held once this late change is posted."""
        assert self.past is not None, "only a late word asks"
        held = self.past.held
        added_minor = sum(map(bookings.added_to_hold_minor, self.postings))
        return Money(held.minor + added_minor, held.currency)

    def weigh_refunds(self) -> None:
        """Keep how much more went back than was taken, now that either has changed."""
        intent = self.intent
        returned_minor = intent.amount_refunded_minor + intent.amount_refund_pending_minor
        over_minor = max(0, returned_minor - intent.amount_captured_minor)
        intent.amount_excess_minor += over_minor - intent.amount_over_refunded_minor
        intent.amount_over_refunded_minor = over_minor
