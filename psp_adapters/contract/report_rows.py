"""Reports that an adapter writes itself, of a PSP that lists lines but has no file that proves to
be whole: a line of JSON for each row, and one control row per currency at the end. No I/O.

Each row has `currency`, `gross`, `fee` and `net` in minor units; what else it has is the adapter's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

from ledger.exceptions import LedgerError
from ledger.money import Money
from psp_adapters.contract.report_files import ReportFile
from psp_adapters.contract.settlement_reports import (
    ACCOUNT_LINES,
    OPERATION_LINES,
    Conversion,
    LineKind,
    ReportLine,
    ReportUnreadable,
)

Row = dict[str, Any]

UNREADABLE: Final = (
    *(KeyError, TypeError, ValueError, OverflowError, RecursionError, AttributeError, LedgerError),
)
KINDS: Final = {kind.value: kind for kind in LineKind if kind is not LineKind.UNKNOWN}
_TOTAL_KEYS: Final = ("total", "lines", "gross", "fee", "net")
_TEXT_MAX: Final = 500
_TYPE_MAX: Final = 64
_IDENTIFIER: Final = re.compile(r"[!-~]{1,128}")
_QUOTED: Final = re.compile(r"""(['"]).*\1""", re.DOTALL)


def render(rows: Sequence[Row]) -> bytes:
    """Rows and their control rows as the bytes of a report."""
    sums: dict[str, list[int]] = {}
    for row in rows:
        _add(sums, row)
    totals = [
        dict(zip(_TOTAL_KEYS, (currency, *numbers), strict=True))
        for currency, numbers in sorted(sums.items())
    ]
    return b"".join(json.dumps(each).encode() + b"\n" for each in (*rows, *totals))


def read_rows(file: ReportFile, line_of: Callable[[Row], ReportLine]) -> Iterator[ReportLine]:
    """Yield what `line_of` makes of each row; it raises one of UNREADABLE for what is no row.

    Raises ReportUnreadable if it is not a whole report.
    """
    sums, confirmed = file.progress.sums, file.progress.confirmed
    for number, raw in file.text_lines():
        try:
            row = json.loads(raw)
            if tuple(row) == _TOTAL_KEYS:
                _require_total(row, sums, confirmed)
                continue
            if confirmed:
                raise ValueError("a line after the control rows")
            line = line_of(row)
            _add(sums, row)
        except UNREADABLE as error:
            raise unreadable(number, error) from None
        yield line
    if not sums or set(confirmed) != sums.keys():
        raise ReportUnreadable("its end is missing: not every currency has its control row")


def _add(sums: dict[str, list[int]], row: Row) -> None:
    of_currency = sums.setdefault(row["currency"], [0, 0, 0, 0])
    for place, number in enumerate((1, row["gross"], row["fee"], row["net"])):
        of_currency[place] += number


def _require_total(row: Row, sums: dict[str, list[int]], confirmed: list[str]) -> None:
    currency, *numbers = row.values()
    if not all(type(number) is int for number in numbers):
        raise TypeError("a sum is not an integer")
    if currency in confirmed or sums[currency] != numbers:
        raise ValueError("other sums than it says, or a second control row")
    confirmed.append(currency)


def checked_line(
    *,
    identity: str,
    psp_type: str,
    psp_id: str,
    psp_payment_id: str,
    reference: str,
    money: tuple[Money, Money, Money],
    occurred_at: datetime,
    kinds: Mapping[str, LineKind] = KINDS,
    psp_payout_id: str = "",
    conversion: Conversion | None = None,
    available_on: date | None = None,
) -> ReportLine:
    """A line of a report, its kind by `psp_type`; `money` is gross, fee and net.

    Raises ValueError if something of it cannot be.
    """
    gross, fee, net = money
    if gross - fee != net:
        raise ValueError("gross, fee and net do not agree")
    if max(abs(each.minor) for each in money) >= 10**15:
        raise ValueError("an amount is too large")
    kind = kinds.get(psp_type, LineKind.UNKNOWN)
    if kind is not LineKind.UNKNOWN and kind not in ACCOUNT_LINES:
        identifier(psp_id)
        identifier(psp_payment_id)
    for each in (psp_type, psp_id, psp_payment_id, reference):
        if not isinstance(each, str) or len(each) > _TEXT_MAX or not each.isprintable():
            raise ValueError("a text is too long, or has control characters")
    if not psp_type:
        raise ValueError("a line without a type")
    return ReportLine(
        identity=identifier(identity),
        kind=kind,
        psp_type=psp_type[:_TYPE_MAX],
        psp_id=psp_id,
        psp_payment_id=psp_payment_id,
        reference=reference,
        gross=gross,
        fee=fee,
        occurred_at=occurred_at,
        psp_payout_id=identifier(psp_payout_id) if psp_payout_id else "",
        conversion=conversion if kind in OPERATION_LINES else None,
        available_on=available_on,
    )


def identifier(value: Any) -> str:
    """`value` if it is of the form of an id; raises ValueError."""
    if not isinstance(value, str) or not _IDENTIFIER.fullmatch(value):
        raise ValueError("not an identifier")
    return value


def unreadable(number: int, error: Exception) -> ReportUnreadable:
    """The refusal of a line. Texts of Python's errors may quote what was read; ours do not."""
    is_ours = type(error) is ValueError and not _QUOTED.search(str(error))
    why = str(error) if is_ours else type(error).__name__
    return ReportUnreadable(f"line {number}: {why}")
