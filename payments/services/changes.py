"""The change that one outcome makes: the rows it touches, what it posts, which facts it tells.

Collects; services.outcomes writes everything in one transaction. What may not live here: deciding
what an outcome causes (services.effects), SQL.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, Literal

from ledger import posting_rules
from ledger.money import Money
from ledger.posting_rules import Posting
from payments.models import Case, Merchant, Operation, PaymentIntent, Refund, books_of
from payments.states import IntentStatus
from psp_adapters.contract import PspResult

INTENT_FIELDS: Final = (
    "status",
    "published_status",
    "amount_minor",
    "amount_authorized_minor",
    "amount_captured_minor",
    "amount_refunded_minor",
    "amount_refund_pending_minor",
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
    "lease_until",
    "next_check_at",
    "checks",
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
    facts: list[tuple[str, Shown, dict[str, Any] | None]] = field(default_factory=list)
    intent_passes_through: list[IntentStatus] = field(default_factory=list)
    """Statuses that the intent takes on the way: PostgreSQL must see each legal step."""
    cases: list[Case] = field(default_factory=list)
    """What a person must look at because of it; opened in the same transaction."""

    @property
    def books(self) -> str:
        """Whose account at our side of the books."""
        return books_of(self.merchant.id, livemode=self.intent.livemode)

    def tell(self, event: str, shown: Shown, previous: dict[str, Any] | None = None) -> None:
        """Tell a fact; its object is rendered after the whole change is made."""
        self.facts.append((event, shown, previous))

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

    def post_captured(self, amount: Money) -> None:
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
        if fee_minor:
            fee = Money(fee_minor, amount.currency)
            self.postings.append(
                posting_rules.platform_fee(merchant=merchant, amount=fee, available_on=available_on)
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
