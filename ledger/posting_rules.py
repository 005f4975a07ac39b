"""Posting rules, one per business event: which account it debits, and which it credits.

Rules know accounts and amounts only: no queries, no clock, no settings, no payment, no PSP.
Amounts are always positive.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Final
from uuid import UUID

from ledger import chart
from ledger.chart import AccountRef, ChartLine, Direction, Owner
from ledger.exceptions import CurrencyMismatch, MixedKinds, UnbalancedTransaction
from ledger.money import Money

REVERSAL_PREFIX: Final = "reversal_of_"
_D, _C = Direction.DEBIT, Direction.CREDIT


class EntryType(StrEnum):
    """What an entry is about, for readers of the books."""

    AUTH = "auth"
    RELEASE = "release"
    """An authorization released: by a void, an expiry, or the rest after a final capture."""
    CAPTURE = "capture"
    REFUND = "refund"
    CHARGEBACK = "chargeback"
    FEE = "fee"
    EXCESS = "excess"
    """Duplicate charges and their reversal: apart from the payment's own hold and money."""
    SETTLEMENT = "settlement"
    """What the PSP added to our balance with it or took from it, and what reached the bank."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parties:
    """Whose accounts a rule books to; each rule takes those that its T-account names."""

    psp_account: str
    merchant: str
    bank_account: str = ""
    """The number of our account at a bank (IBAN)."""

    def account(self, line: ChartLine, currency: str) -> AccountRef:
        """The account of that code that belongs to one of them, or to the platform."""
        match line.owner:
            case Owner.PSP_ACCOUNT:
                return line.of(self.psp_account, currency)
            case Owner.BANK_ACCOUNT:
                return line.of(self.bank_account, currency)
            case Owner.MERCHANT:
                return line.of(self.merchant, currency)
            case Owner.PLATFORM:
                return line.of("", currency)


@dataclass(frozen=True, slots=True)
class EntryLine:
    """One line of a posting."""

    account: AccountRef
    direction: Direction
    amount: Money
    entry_type: EntryType

    def __post_init__(self) -> None:
        if self.amount.minor <= 0:
            raise ValueError(f"an entry takes a positive amount, not {self.amount}")
        if self.amount.currency != self.account.currency:
            raise CurrencyMismatch(self.amount.currency, self.account.currency)


@dataclass(frozen=True, slots=True)
class Posting:
    """A ledger transaction to be written: two or more lines that sum to zero per currency.

    `reverses` is the ledger transaction that this one reverses, if any. `available_on` is the day
    from which the merchant may have what it changes; None if at once, or with what it reverses.
    """

    rule: str
    lines: tuple[EntryLine, ...]
    reverses: UUID | None = None
    available_on: date | None = None

    def __post_init__(self) -> None:
        if not (self.rule.isidentifier() and self.rule.islower()):
            raise ValueError(f"not the name of a rule: {self.rule!r}")
        if len(self.lines) < 2:
            raise UnbalancedTransaction(f"{self.rule}: a posting has two or more lines")
        if len({line.account.line.kind for line in self.lines}) > 1:
            raise MixedKinds(f"{self.rule}: memo and real accounts in one posting")
        totals: defaultdict[str, int] = defaultdict(int)
        for line in self.lines:
            signed = line.amount.minor if line.direction is _D else -line.amount.minor
            totals[line.account.currency] += signed
        if any(totals.values()):
            raise UnbalancedTransaction(f"{self.rule}: debits and credits differ: {dict(totals)}")


@dataclass(frozen=True, slots=True)
class Rule:
    """Books a positive amount from one account of the chart to another."""

    name: str
    entry_type: EntryType
    debit: ChartLine = field(kw_only=True)
    credit: ChartLine = field(kw_only=True)

    def __call__(self, parties: Parties, amount: Money) -> Posting:
        """The posting of `amount` to the accounts of these parties."""
        debit = parties.account(self.debit, amount.currency)
        credit = parties.account(self.credit, amount.currency)
        lines = (
            EntryLine(debit, _D, amount, self.entry_type),
            EntryLine(credit, _C, amount, self.entry_type),
        )
        return Posting(self.name, lines)


authorized: Final = Rule(
    "authorized", EntryType.AUTH, debit=chart.AUTH_HELD, credit=chart.AUTH_CONTRA
)
"""The PSP holds the money for us."""
authorization_incremented: Final = Rule(
    "authorization_incremented", EntryType.AUTH, debit=chart.AUTH_HELD, credit=chart.AUTH_CONTRA
)
"""The PSP holds `amount` more than before; also books what it captured beyond what it held."""
capture_memo: Final = Rule(
    "capture_memo", EntryType.CAPTURE, debit=chart.AUTH_CONTRA, credit=chart.AUTH_HELD
)
"""The captured amount is no longer held. Goes with `captured`."""
captured: Final = Rule(
    "captured", EntryType.CAPTURE, debit=chart.PSP_RECEIVABLE, credit=chart.MERCHANT_PAYABLE
)
"""The PSP owes us the amount, we owe it to the merchant."""
platform_fee: Final = Rule(
    "platform_fee", EntryType.FEE, debit=chart.MERCHANT_PAYABLE, credit=chart.PLATFORM_FEE_INCOME
)
"""The merchant pays the platform's fee of a capture."""
released: Final = Rule(
    "released", EntryType.RELEASE, debit=chart.AUTH_CONTRA, credit=chart.AUTH_HELD
)
"""A final capture took less than was held; the rest is released."""
voided: Final = Rule("voided", EntryType.RELEASE, debit=chart.AUTH_CONTRA, credit=chart.AUTH_HELD)
"""The authorization was voided at our request."""
expired: Final = Rule("expired", EntryType.RELEASE, debit=chart.AUTH_CONTRA, credit=chart.AUTH_HELD)
"""The authorization expired at the PSP."""
hold_reopened: Final = Rule(
    "hold_reopened", EntryType.RELEASE, debit=chart.AUTH_HELD, credit=chart.AUTH_CONTRA
)
"""A hold that was booked as released is open after all; goes before its capture."""
refund_requested: Final = Rule(
    "refund_requested",
    EntryType.REFUND,
    debit=chart.MERCHANT_PAYABLE,
    credit=chart.REFUND_IN_FLIGHT,
)
"""The PSP accepted a refund; the merchant bears it from now on."""
refund_failed: Final = Rule(
    "refund_failed", EntryType.REFUND, debit=chart.REFUND_IN_FLIGHT, credit=chart.MERCHANT_PAYABLE
)
"""A refund that the PSP had accepted did not reach the customer."""
excess_authorized: Final = Rule(
    "excess_authorized", EntryType.EXCESS, debit=chart.AUTH_HELD, credit=chart.AUTH_CONTRA
)
"""The PSP holds a duplicate authorization."""
excess_released: Final = Rule(
    "excess_released", EntryType.EXCESS, debit=chart.AUTH_CONTRA, credit=chart.AUTH_HELD
)
"""A duplicate hold was released."""
excess_hold_reopened: Final = Rule(
    "excess_hold_reopened", EntryType.EXCESS, debit=chart.AUTH_HELD, credit=chart.AUTH_CONTRA
)
"""A duplicate hold that was booked as released is open after all."""
excess_capture_memo: Final = Rule(
    "excess_capture_memo", EntryType.EXCESS, debit=chart.AUTH_CONTRA, credit=chart.AUTH_HELD
)
"""The captured part of a duplicate hold is no longer held. Goes with `excess_captured`."""
excess_captured: Final = Rule(
    "excess_captured", EntryType.EXCESS, debit=chart.PSP_RECEIVABLE, credit=chart.MERCHANT_PAYABLE
)
"""The PSP captured a duplicate charge: to be refunded, and without a fee."""
excess_refund_requested: Final = Rule(
    "excess_refund_requested",
    EntryType.EXCESS,
    debit=chart.MERCHANT_PAYABLE,
    credit=chart.REFUND_IN_FLIGHT,
)
"""The PSP accepted the refund of a duplicate charge."""
excess_refund_failed: Final = Rule(
    "excess_refund_failed",
    EntryType.EXCESS,
    debit=chart.REFUND_IN_FLIGHT,
    credit=chart.MERCHANT_PAYABLE,
)
"""The refund of a duplicate charge did not reach the customer."""


def reversal_of(posting: Posting, *, reverses: UUID | None = None) -> Posting:
    """The exact mirror of a posting; `reverses` names the ledger transaction that it reverses.

    With `reverses`, PostgreSQL checks that it is the mirror, and the only one. A reversal is never
    reversed: post the original again instead.
    """
    if posting.rule.startswith(REVERSAL_PREFIX):
        raise ValueError(f"{posting.rule} is itself a reversal")
    mirrored = tuple(
        EntryLine(line.account, line.direction.opposite, line.amount, line.entry_type)
        for line in posting.lines
    )
    return Posting(REVERSAL_PREFIX + posting.rule, mirrored, reverses=reverses)
