"""The change that one outcome makes: the rows it touches, what it posts, which facts it tells.

Collects; services.outcomes writes everything in one transaction. What may not live here: deciding
what an outcome causes (services.effects), SQL.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, Literal

from ledger import posting_rules
from ledger.chart import Direction
from ledger.money import Money
from ledger.posting_rules import Posting
from ledger.selectors import Booking
from payments.models import Case, Merchant, Operation, PaymentIntent, Refund, books_of
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


_COUNTED_IN: Final = {
    "authorized": "amount_authorized_minor",
    "authorization_incremented": "amount_authorized_minor",
    "captured": "amount_captured_minor",
}
"""The counter that each of these rules moves."""
_HELD: Final = 9100
_OWED_ON_CAPTURE: Final = frozenset({"captured", "platform_fee", "excess_captured"})


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

    @property
    def books(self) -> str:
        """Whose account at our side of the books."""
        return books_of(self.merchant.id, livemode=self.intent.livemode)

    def tell(self, event: str, shown: Shown) -> None:
        """Tell a fact; its object is rendered after the whole change is made."""
        self.facts.append((event, shown))

    def tell_if_answered(self, event: str) -> None:
        """Tell of the intent, if its request got an answer that is not true any more."""
        if self.answered:
            self.tell(event, "intent")

    def post_authorized(self, amount: Money) -> None:
        self.intent.amount_authorized_minor += amount.minor
        self.postings.append(
            posting_rules.authorized(psp_account=self.psp_account_code, amount=amount)
        )

    def post_incremented(self, amount: Money) -> None:
        self.intent.amount_authorized_minor += amount.minor
        self.postings.append(
            posting_rules.authorization_incremented(
                psp_account=self.psp_account_code, amount=amount
            )
        )

    def post_captured(self, amount: Money, *, fee: bool = True) -> None:
        """Capture, and our fee of it: hundredths of a percent, rounded down to the minor unit."""
        self.intent.amount_captured_minor += amount.minor
        merchant, available_on = self.books, self._captured_available_on()
        self.postings += [
            posting_rules.capture_memo(psp_account=self.psp_account_code, amount=amount),
            posting_rules.captured(
                psp_account=self.psp_account_code,
                merchant=merchant,
                amount=amount,
                available_on=available_on,
            ),
        ]
        fee_minor = amount.minor * self.merchant.platform_fee_basis_points // 10_000
        if fee and fee_minor:
            of_it = Money(fee_minor, amount.currency)
            self.postings.append(
                posting_rules.platform_fee(
                    merchant=merchant, amount=of_it, available_on=available_on
                )
            )

    def _captured_available_on(self) -> date | None:
        """An estimate until the PSP's settlement report is read; None: at once."""
        if self.result.available_at_once or not self.settlement_delay_days:
            return None
        return _today() + timedelta(days=self.settlement_delay_days)

    def _refund_available_on(self) -> date | None:
        """A refund of money that is not available yet is taken from it: both come together."""
        charge = self.charge_available_on
        return charge if charge is not None and charge > _today() else None

    def reverse(self, booking: Booking) -> None:
        """Take one booking back, in the counters too."""
        self.postings.append(posting_rules.reversal_of(booking.posting, reverses=booking.id))
        self._count(booking.posting, -1)

    def post_again(self, posting: Posting) -> None:
        """Book once more what had been taken back, in the counters too."""
        available_on = None
        if posting.rule in _OWED_ON_CAPTURE:
            available_on = self._captured_available_on()
        self.postings.append(replace(posting, available_on=available_on))
        self._count(posting, 1)

    def _count(self, posting: Posting, sign: int) -> None:
        counter = _COUNTED_IN.get(posting.rule)
        if counter is not None:
            minor = getattr(self.intent, counter) + sign * posting.lines[0].amount.minor
            setattr(self.intent, counter, minor)

    def held_after(self) -> Money:
        """What the books will say is held once this late change is posted."""
        assert self.past is not None, "only a late word asks"
        held = self.past.held
        for posting in self.postings:
            for line in posting.lines:
                of_payment = line.entry_type is not posting_rules.EntryType.EXCESS
                if line.account.code == _HELD and of_payment:
                    debit = line.direction is Direction.DEBIT
                    held = held + line.amount if debit else held - line.amount
        return held

    def post_excess_authorized(self, amount: Money) -> None:
        self.postings.append(
            posting_rules.excess_authorized(psp_account=self.psp_account_code, amount=amount)
        )

    def post_excess_released(self, amount: Money) -> None:
        self.postings.append(
            posting_rules.excess_released(psp_account=self.psp_account_code, amount=amount)
        )

    def post_excess_captured(self, amount: Money) -> None:
        self.postings += [
            posting_rules.excess_capture_memo(psp_account=self.psp_account_code, amount=amount),
            posting_rules.excess_captured(
                psp_account=self.psp_account_code,
                merchant=self.books,
                amount=amount,
                available_on=self._captured_available_on(),
            ),
        ]

    def post_excess_refund_requested(self, amount: Money) -> None:
        self.postings.append(
            posting_rules.excess_refund_requested(
                psp_account=self.psp_account_code,
                merchant=self.books,
                amount=amount,
                available_on=self._refund_available_on(),
            )
        )

    def post_excess_refund_failed(self, amount: Money) -> None:
        self.postings.append(
            posting_rules.excess_refund_failed(
                psp_account=self.psp_account_code,
                merchant=self.books,
                amount=amount,
                available_on=self._refund_available_on(),
            )
        )

    def weigh_refunds(self) -> None:
        """Keep how much more went back than was taken, now that either has changed."""
        intent = self.intent
        returned_minor = intent.amount_refunded_minor + intent.amount_refund_pending_minor
        over_minor = max(0, returned_minor - intent.amount_captured_minor)
        intent.amount_excess_minor += over_minor - intent.amount_over_refunded_minor
        intent.amount_over_refunded_minor = over_minor

    def post_released(self, amount: Money) -> None:
        """A final capture gives back what it left."""
        if amount:
            self.postings.append(
                posting_rules.released(psp_account=self.psp_account_code, amount=amount)
            )

    def post_voided(self, amount: Money) -> None:
        if amount:
            self.postings.append(
                posting_rules.voided(psp_account=self.psp_account_code, amount=amount)
            )

    def post_refund_requested(self, amount: Money) -> None:
        self.postings.append(
            posting_rules.refund_requested(
                psp_account=self.psp_account_code,
                merchant=self.books,
                amount=amount,
                available_on=self._refund_available_on(),
            )
        )

    def post_refund_failed(self, amount: Money) -> None:
        self.postings.append(
            posting_rules.refund_failed(
                psp_account=self.psp_account_code,
                merchant=self.books,
                amount=amount,
                available_on=self._refund_available_on(),
            )
        )
