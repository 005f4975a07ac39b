"""What a bank statement says, whatever its format, and which line each entry is. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date
from typing import Final

from ledger.money import CURRENCY_EXPONENTS, Money
from psp_adapters.contract.minor_units import MinorUnits

AMOUNTS: Final = MinorUnits({})
"""Banks write decimal numbers, with the decimals of the currency at most."""


class StatementUnreadable(ValueError):
    """Not a whole bank statement; says where and why, without quoting free text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One booked entry; a credit of the bank is positive."""

    amount: Money
    booked_on: date
    value_on: date
    bank_reference: str
    """The bank's own reference of the entry, if it gives one."""
    end_to_end_id: str
    text: str
    """Every reference and remittance text of the entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """The entries of one account between two balances."""

    account: str
    reference: str
    number: int | None
    """Its place in the bank's sequence, if the bank counts."""
    opening: Money
    closing: Money
    closed_on: date
    entries: tuple[Entry, ...]

    @property
    def opened_on(self) -> date:
        """The first day on which it books an entry; without entries the day of its close."""
        return min((entry.booked_on for entry in self.entries), default=self.closed_on)


def require_footing(statement: Statement) -> None:
    """Refuse a statement whose opening balance and entries are not its closing balance."""
    currencies = {statement.opening.currency, statement.closing.currency}
    currencies |= {entry.amount.currency for entry in statement.entries}
    name = f"statement {statement.reference}"
    if len(currencies) > 1:
        raise StatementUnreadable(f"{name} has amounts in {' and '.join(sorted(currencies))}")
    total = sum((entry.amount for entry in statement.entries), start=statement.opening)
    if total != statement.closing:
        raise StatementUnreadable(
            f"{name} does not add up: {statement.opening} and its entries are {total}, it closes "
            f"with {statement.closing}"
        )


def amount_of(said: str, currency: str) -> Money:
    """A positive decimal number; raises ArithmeticError, LookupError or ValueError."""
    if said.startswith("-"):
        raise ValueError("a negative amount")
    if currency not in CURRENCY_EXPONENTS:
        raise ValueError(f"unknown currency {currency}")
    return AMOUNTS.from_major(said, currency)


def normalized_number(said: str) -> str:
    """The number of a bank account without blanks, in capital letters."""
    return "".join(said.split()).upper()


def identity_of(entry: Entry) -> str:
    """What says which line of its account an entry is, as a hash.

    With a reference of the bank its texts do not count: banks write them differently at times.
    """
    parts = [
        entry.booked_on.isoformat(),
        entry.value_on.isoformat(),
        entry.amount.currency,
        str(entry.amount.minor),
        entry.bank_reference,
    ]
    if not entry.bank_reference:
        parts += [entry.end_to_end_id, " ".join(entry.text.split())]
    return _digest(parts)


def content_sha256_of(statement: Statement) -> str:
    """The hash of all that a statement says about money: of two equal ones, one counts."""
    return _digest(
        [
            statement.reference,
            str(statement.number),
            statement.closed_on.isoformat(),
            str(statement.opening),
            str(statement.closing),
            *map(identity_of, statement.entries),
        ]
    )


def _digest(parts: list[str]) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()
