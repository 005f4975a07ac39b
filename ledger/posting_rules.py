"""Posting rules: one pure function per business event, each with its T-accounts.

Rules know accounts and amounts only: no queries, no clock, no settings, no payment, no PSP.
"Dr" is a debit, "Cr" a credit; amounts are always positive.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final
from uuid import UUID

from ledger import chart
from ledger.chart import AccountRef, Direction
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Parties:
    """Whose accounts a rule books to; each rule takes those that its T-account names."""

    psp_account: str
    merchant: str


Rule = Callable[["Parties", Money], "Posting"]
"""A posting rule: the parties and a positive amount become one balanced posting."""


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


def move(
    rule: str,
    debit: AccountRef,
    credit: AccountRef,
    amount: Money,
    entry_type: EntryType,
) -> Posting:
    """A posting of one debit and one credit."""
    return Posting(
        rule,
        (EntryLine(debit, _D, amount, entry_type), EntryLine(credit, _C, amount, entry_type)),
    )


def _hold(rule: str, parties: Parties, amount: Money) -> Posting:
    held = chart.auth_held(parties.psp_account, amount.currency)
    contra = chart.auth_contra(parties.psp_account, amount.currency)
    return move(rule, held, contra, amount, EntryType.AUTH)


def _release(rule: str, parties: Parties, amount: Money, entry_type: EntryType) -> Posting:
    held = chart.auth_held(parties.psp_account, amount.currency)
    contra = chart.auth_contra(parties.psp_account, amount.currency)
    return move(rule, contra, held, amount, entry_type)


def authorized(parties: Parties, amount: Money) -> Posting:
    """The PSP holds the money for us.

    Dr 9100 auth_held    amount
        Cr 9200 auth_contra  amount
    """
    return _hold("authorized", parties, amount)


def authorization_incremented(parties: Parties, amount: Money) -> Posting:
    """The PSP holds `amount` more than before; also books what it captured beyond what it held.

    Dr 9100 auth_held    amount
        Cr 9200 auth_contra  amount
    """
    return _hold("authorization_incremented", parties, amount)


def capture_memo(parties: Parties, amount: Money) -> Posting:
    """The captured amount is no longer held. Goes with `captured`.

    Dr 9200 auth_contra  amount
        Cr 9100 auth_held    amount
    """
    return _release("capture_memo", parties, amount, EntryType.CAPTURE)


def captured(parties: Parties, amount: Money) -> Posting:
    """The PSP owes us the amount, we owe it to the merchant.

    Dr 1100 psp_receivable    amount
        Cr 2100 merchant_payable  amount
    """
    return move(
        "captured",
        chart.psp_receivable(parties.psp_account, amount.currency),
        chart.merchant_payable(parties.merchant, amount.currency),
        amount,
        EntryType.CAPTURE,
    )


def platform_fee(parties: Parties, amount: Money) -> Posting:
    """The merchant pays the platform's fee of a capture.

    Dr 2100 merchant_payable     amount
        Cr 4100 platform_fee_income  amount
    """
    return move(
        "platform_fee",
        chart.merchant_payable(parties.merchant, amount.currency),
        chart.platform_fee_income(amount.currency),
        amount,
        EntryType.FEE,
    )


def released(parties: Parties, amount: Money) -> Posting:
    """A final capture took less than was held; the rest is released.

    Dr 9200 auth_contra  amount
        Cr 9100 auth_held    amount
    """
    return _release("released", parties, amount, EntryType.RELEASE)


def voided(parties: Parties, amount: Money) -> Posting:
    """The authorization was voided at our request.

    Dr 9200 auth_contra  amount
        Cr 9100 auth_held    amount
    """
    return _release("voided", parties, amount, EntryType.RELEASE)


def expired(parties: Parties, amount: Money) -> Posting:
    """The authorization expired at the PSP.

    Dr 9200 auth_contra  amount
        Cr 9100 auth_held    amount
    """
    return _release("expired", parties, amount, EntryType.RELEASE)


def hold_reopened(parties: Parties, amount: Money) -> Posting:
    """A hold that was booked as released is open after all; goes before its capture.

    Dr 9100 auth_held    amount
        Cr 9200 auth_contra  amount
    """
    held = chart.auth_held(parties.psp_account, amount.currency)
    contra = chart.auth_contra(parties.psp_account, amount.currency)
    return move("hold_reopened", held, contra, amount, EntryType.RELEASE)


def refund_requested(parties: Parties, amount: Money) -> Posting:
    """The PSP accepted a refund; the merchant bears it from now on.

    Dr 2100 merchant_payable  amount
        Cr 2200 refund_in_flight  amount
    """
    return move(
        "refund_requested",
        chart.merchant_payable(parties.merchant, amount.currency),
        chart.refund_in_flight(parties.psp_account, amount.currency),
        amount,
        EntryType.REFUND,
    )


def refund_failed(parties: Parties, amount: Money) -> Posting:
    """A refund that the PSP had accepted did not reach the customer.

    Dr 2200 refund_in_flight  amount
        Cr 2100 merchant_payable  amount
    """
    return move(
        "refund_failed",
        chart.refund_in_flight(parties.psp_account, amount.currency),
        chart.merchant_payable(parties.merchant, amount.currency),
        amount,
        EntryType.REFUND,
    )


def excess_authorized(parties: Parties, amount: Money) -> Posting:
    """The PSP holds a duplicate authorization.

    Dr 9100 auth_held    amount
        Cr 9200 auth_contra  amount
    """
    held = chart.auth_held(parties.psp_account, amount.currency)
    contra = chart.auth_contra(parties.psp_account, amount.currency)
    return move("excess_authorized", held, contra, amount, EntryType.EXCESS)


def excess_released(parties: Parties, amount: Money) -> Posting:
    """A duplicate hold was released.

    Dr 9200 auth_contra  amount
        Cr 9100 auth_held    amount
    """
    return _release("excess_released", parties, amount, EntryType.EXCESS)


def excess_capture_memo(parties: Parties, amount: Money) -> Posting:
    """The captured part of a duplicate hold is no longer held. Goes with `excess_captured`.

    Dr 9200 auth_contra  amount
        Cr 9100 auth_held    amount
    """
    return _release("excess_capture_memo", parties, amount, EntryType.EXCESS)


def excess_captured(parties: Parties, amount: Money) -> Posting:
    """The PSP captured a duplicate charge: to be refunded, and without a fee.

    Dr 1100 psp_receivable    amount
        Cr 2100 merchant_payable  amount
    """
    return move(
        "excess_captured",
        chart.psp_receivable(parties.psp_account, amount.currency),
        chart.merchant_payable(parties.merchant, amount.currency),
        amount,
        EntryType.EXCESS,
    )


def excess_refund_requested(parties: Parties, amount: Money) -> Posting:
    """The PSP accepted the refund of a duplicate charge.

    Dr 2100 merchant_payable  amount
        Cr 2200 refund_in_flight  amount
    """
    return move(
        "excess_refund_requested",
        chart.merchant_payable(parties.merchant, amount.currency),
        chart.refund_in_flight(parties.psp_account, amount.currency),
        amount,
        EntryType.EXCESS,
    )


def excess_refund_failed(parties: Parties, amount: Money) -> Posting:
    """The refund of a duplicate charge did not reach the customer.

    Dr 2200 refund_in_flight  amount
        Cr 2100 merchant_payable  amount
    """
    return move(
        "excess_refund_failed",
        chart.refund_in_flight(parties.psp_account, amount.currency),
        chart.merchant_payable(parties.merchant, amount.currency),
        amount,
        EntryType.EXCESS,
    )


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
