"""What an export is: columns, and a function that yields its rows. What it can be limited to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import Enum, StrEnum
from typing import Any, Final
from uuid import UUID

from payments.public_ids import first_id_of_second

CURRENCY: Final = "currency"
"""The column that says what the amounts of a row are in; every export with amounts has it."""


class Kind(Enum):
    """What a cell holds, and so how it is written."""

    TEXT = "text"
    """Also of merchants and customers: made harmless for spreadsheets."""
    AMOUNT = "amount"
    """Minor units in a row, a decimal number of the row's currency in the file."""
    NUMBER = "number"
    DATE = "date"
    TIME = "time"
    """UTC, to the second."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column, by its name in the first line."""

    name: str
    kind: Kind = Kind.TEXT
    adds_up: bool = False
    """Whether its sum by currency is a control total: of amounts that are no balances."""


def text(*names: str) -> tuple[Column, ...]:
    return tuple(map(Column, names))


def days(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name, Kind.DATE) for name in names)


def times(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name, Kind.TIME) for name in names)


def numbers(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name, Kind.NUMBER) for name in names)


def amounts(*names: str) -> tuple[Column, ...]:
    """Amounts that are added up in the control totals."""
    return tuple(Column(name, Kind.AMOUNT, adds_up=True) for name in names)


def balances(*names: str) -> tuple[Column, ...]:
    """Amounts whose sum says nothing, such as a running balance."""
    return tuple(Column(name, Kind.AMOUNT) for name in names)


class Period(StrEnum):
    """Which time an export is about."""

    SPAN = "some days"
    DAY = "the end of a day"
    NOW = "now"


class Limit(StrEnum):
    """What an export can be limited to, named as the command's option."""

    MERCHANT = "merchant"
    ACCOUNT = "account"
    CURRENCY = "currency"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What one file is about. Of an export about the end of a day, that day is `last`."""

    first: date
    last: date
    merchant_id: UUID | None = None
    account: int | None = None
    """A code of the chart."""
    currency: str = ""

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise ValueError(f"the last day {self.last} is before the first day {self.first}")

    @property
    def first_id(self) -> UUID:
        """Of rows by their ids: the smallest one of the first day."""
        return _first_id(self.first)

    @property
    def end_id(self) -> UUID:
        """The smallest id of the day after the last."""
        return _first_id(self.last + timedelta(1))

    @property
    def parameters(self) -> dict[str, Any]:
        """As the queries name them."""
        return {
            "first": self.first,
            "last": self.last,
            "first_id": self.first_id,
            "end_id": self.end_id,
            "merchant": self.merchant_id,
            "account": self.account,
            "currency": self.currency or None,
        }


def _first_id(day: date) -> UUID:
    return first_id_of_second(int(datetime.combine(day, time(), UTC).timestamp()))


Row = Sequence[Any]
"""A value for each column, in their order; None is an empty cell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """One kind of file."""

    name: str
    what: str
    """For people who choose one: what a row is."""
    period: Period
    columns: tuple[Column, ...]
    rows: Callable[[Chosen], Iterator[Row]]
    """Reads in the caller's transaction, and streams."""
    limits: frozenset[Limit] = frozenset()

    def refuse_unknown_limits(self, chosen: Chosen) -> None:
        """Raise ValueError for a limit that this export does not have: it would be ignored."""
        given = {
            Limit.MERCHANT: chosen.merchant_id,
            Limit.ACCOUNT: chosen.account,
            Limit.CURRENCY: chosen.currency,
        }
        for limit, value in given.items():
            if value and limit not in self.limits:
                raise ValueError(f"{self.name} cannot be limited to one {limit}")
