"""Writes cells: amounts as decimal numbers of their currency, texts such that no spreadsheet
computes them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final

from ledger.money import Money
from psp_adapters.contract.minor_units import MinorUnits
from reconciliation.services.exports.declaration import CURRENCY, Column, Kind, Row

_FORMULA: Final = re.compile(r"[\t\r\n]|\s*[=+\-@\uff1d\uff0b\uff0d\uff20]")
"""How a text begins that a spreadsheet may compute; in the wide forms of East Asia too."""
_OURS: Final = MinorUnits({})


def safe_text(value: object) -> str:
    """A text as a cell: behind an apostrophe, which spreadsheets do not show, if it could be a
    formula."""
    if value is None:
        return ""
    shown = str(value)
    if shown[:1].isalnum():
        return shown
    return f"'{shown}" if _FORMULA.match(shown) else shown


def shown_time(moment: datetime | None) -> str:
    """To the second, in UTC: `2026-11-27 09:30:00`."""
    if moment is None:
        return ""
    return moment.astimezone(UTC).isoformat(sep=" ", timespec="seconds")[:19]


def minor_of(cell: str, currency: str) -> int:
    """The minor units of a written amount; raises ValueError if it is none."""
    return _OURS.from_major(cell, currency).minor


def _shown_day(day: date | None) -> str:
    return "" if day is None else day.isoformat()


def _shown_number(value: object) -> str:
    return "" if value is None else str(value)


_SHOWN: Final[dict[Kind, Callable[[Any], str]]] = {
    Kind.TEXT: safe_text,
    Kind.NUMBER: _shown_number,
    Kind.DATE: _shown_day,
    Kind.TIME: shown_time,
}


class Writer:
    """Writes the rows of one export, and adds up its control totals."""

    def __init__(self, columns: Sequence[Column]) -> None:
        names = [column.name for column in columns]
        self._currency_at = names.index(CURRENCY) if CURRENCY in names else None
        amounts = {n: column for n, column in enumerate(columns) if column.kind is Kind.AMOUNT}
        self._amounts_at = tuple(amounts)
        self._added_at = tuple(n for n, column in amounts.items() if column.adds_up)
        self._added_names = [columns[n].name for n in self._added_at]
        self._shown = [_SHOWN.get(column.kind, str) for column in columns]
        self._sums: dict[str, list[int]] = {}
        self.rows = 0
        """How many were written so far."""

    def cells(self, row: Row) -> list[str]:
        """The cells of a row, which counts in the totals."""
        self.rows += 1
        values = list(row)
        if self._currency_at is not None:
            self._write_amounts(values, values[self._currency_at])
        return [show(value) for show, value in zip(self._shown, values, strict=True)]

    def _write_amounts(self, values: list[Any], currency: str) -> None:
        sums = self._sums.get(currency)
        if sums is None:
            self._sums[currency] = sums = [0] * len(self._added_at)
        for number, at in enumerate(self._added_at):
            sums[number] += values[at] or 0
        for at in self._amounts_at:
            minor = values[at]
            values[at] = "" if minor is None else Money(int(minor), currency).decimal

    @property
    def totals(self) -> dict[str, dict[str, str]]:
        """By currency and column."""
        return written_totals(self._added_names, self._sums)


def written_totals(names: Iterable[str], sums: dict[str, list[int]]) -> dict[str, dict[str, str]]:
    """Sums in minor units by currency, in the order of `names`, as a manifest has them."""
    return {
        currency: {
            name: Money(int(minor), currency).decimal
            for name, minor in zip(names, sums[currency], strict=True)
        }
        for currency in sorted(sums)
    }
