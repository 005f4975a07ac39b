"""Parses the sandbox PSP's settlement reports and the list of them. No I/O.

A report is CSV: a header, one line of text per row, and one control row per currency at the end. A
report that was cut, doubled or changed on the way does not add up to its control rows. Amounts,
identity and kind each have their own column; none is derived from another. Lines are parsed one by
one, however large the report is.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any, Final

from ledger.exceptions import LedgerError
from ledger.money import CURRENCY_EXPONENTS
from psp_adapters.contract.report_files import ReportFile
from psp_adapters.contract.settlement_reports import (
    ACCOUNT_LINES,
    Conversion,
    FeeParts,
    LineKind,
    ReportLine,
    ReportListing,
    ReportUnreadable,
)
from psp_adapters.sandbox.mapping import AMOUNTS

_COLUMNS: Final = (
    *("line", "type", "payment_id", "id", "reference", "order_id", "currency"),
    *("gross_minor", "fee_minor", "net_minor", "occurred_at"),
)
_FEE_PARTS: Final = ("markup_minor", "interchange_minor", "scheme_fee_minor")
"""All of them, or the file states its fees as one amount."""
# The sandbox PSP names its kinds as the merchant API does.
_KINDS: Final = {kind.value: kind for kind in LineKind}
_TOTAL: Final = "total"
_TEXT_MAX: Final = 500
"""The sandbox PSP takes no longer texts."""
_TYPE_MAX: Final = 64
_CONTROL_CHARACTER: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_IDENTIFIER: Final = re.compile(r"[!-~]{1,128}")
_AMOUNT: Final = re.compile(r"-?[0-9]{1,15}")
# A sum of many amounts may have more digits than one.
_SUM: Final = re.compile(r"-?[0-9]{1,21}")
_COUNT: Final = re.compile(r"[0-9]{1,9}")
_MOMENT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})"
)
_NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")

Row = dict[str, str]


def is_name(name: str) -> bool:
    """Whether it can be the name of a report; refuses what would lead to another path."""
    return _NAME.fullmatch(name) is not None


def listings_of(view: dict[str, Any]) -> list[ReportListing]:
    """Read the list of reports, oldest first.

    Raises KeyError, TypeError, ValueError or OverflowError if it is not readable.
    """
    listings = [_listing(each) for each in view["data"]]
    if len({listing.name for listing in listings}) != len(listings):
        raise ValueError("two reports of one name")
    return sorted(listings, key=lambda listing: listing.closed_at)


def read(file: ReportFile) -> Iterator[ReportLine]:
    """Yield the lines of a report; raises ReportUnreadable if it is not a whole one."""
    progress = file.progress
    columns, sums, confirmed = progress.columns, progress.sums, progress.confirmed
    for number, fields in _rows(file):
        if not columns:
            _require_columns(fields)
            columns += fields
            continue
        if len(fields) != len(columns):
            raise _unreadable(number, "another number of fields than the header")
        row = dict(zip(columns, fields, strict=True))
        if row["type"] == _TOTAL:
            _require_footing(row, number, sums, confirmed)
            continue
        if confirmed:
            raise _unreadable(number, "a line after the control rows")
        line = _line(row, number)
        of_currency = sums.setdefault(line.gross.currency, [0, 0, 0])
        of_currency[0] += 1
        of_currency[1] += AMOUNTS.to_psp(line.gross)
        of_currency[2] += AMOUNTS.to_psp(line.fee)
        yield line
    if not sums or set(confirmed) != sums.keys():
        raise ReportUnreadable("its end is missing: not every currency has its control row")


def _listing(view: dict[str, Any]) -> ReportListing:
    name, count = view["name"], view["lines"]
    if not is_name(name) or type(count) is not int or count < 0:
        raise ValueError("not a report's name, or not a number of lines")
    return ReportListing(name=name, closed_at=_moment(view["closed_at"]), line_count=count)


def _rows(file: ReportFile) -> Iterator[tuple[int, list[str]]]:
    """The fields of each row, with the number of its line of text."""
    for number, raw in file.text_lines():
        try:
            # One row is one line of text: a reader of its own lets no quoted field run on.
            [fields] = csv.reader([raw.decode()], strict=True)
        except (csv.Error, ValueError) as error:
            raise _unreadable(number, f"not CSV in UTF-8 ({type(error).__name__})") from None
        yield number, fields


def _require_columns(columns: list[str]) -> None:
    if len(set(columns)) != len(columns):
        raise ReportUnreadable("two columns of one name")
    for column in _COLUMNS:
        if column not in columns:
            raise ReportUnreadable(f"the column {column} is missing")


def _require_footing(
    row: Row, number: int, sums: dict[str, list[int]], confirmed: list[str]
) -> None:
    """Check a control row against the lines of its currency, and note that it has come."""
    currency = row["currency"]
    if row["line"] != _TOTAL or any(
        row[name] for name in ("payment_id", "reference", "order_id", "occurred_at")
    ):
        raise _unreadable(number, "neither a line nor a control row")
    if currency not in sums:
        raise _unreadable(number, "a control row of a currency that has no line")
    if currency in confirmed:
        raise _unreadable(number, "a second control row of one currency")
    count, gross_minor, fee_minor = sums[currency]
    if _integer(row, "id", number, _COUNT) != count:
        raise _unreadable(number, "another number of lines than it says")
    said = [_integer(row, f"{name}_minor", number, _SUM) for name in ("gross", "fee", "net")]
    if said != [gross_minor, fee_minor, gross_minor - fee_minor]:
        raise _unreadable(number, "other sums than it says")
    confirmed.append(currency)


def _line(row: Row, number: int) -> ReportLine:
    kind = _KINDS.get(row["type"], LineKind.UNKNOWN)
    currency = row["currency"]
    if currency not in CURRENCY_EXPONENTS:
        raise _unreadable(number, "not a currency that we know")
    gross_minor = _integer(row, "gross_minor", number, _AMOUNT)
    fee_minor = _integer(row, "fee_minor", number, _AMOUNT)
    if gross_minor - fee_minor != _integer(row, "net_minor", number, _AMOUNT):
        raise _unreadable(number, "gross, fee and net do not agree")
    if row["line"] == _TOTAL:
        raise _unreadable(number, "neither a line nor a control row")
    # A line of the account names no payment; a kind that we do not know may come without ids.
    names_a_payment = kind is not LineKind.UNKNOWN and kind not in ACCOUNT_LINES
    return ReportLine(
        identity=_identifier(row, "line", number, required=True),
        kind=kind,
        psp_type=_text(row, "type", number, required=True)[:_TYPE_MAX],
        psp_id=_identifier(row, "id", number, required=names_a_payment),
        psp_payment_id=_identifier(row, "payment_id", number, required=names_a_payment),
        reference=_text(row, "reference", number),
        gross=AMOUNTS.from_psp(gross_minor, currency),
        fee=AMOUNTS.from_psp(fee_minor, currency),
        stated_fee_parts=_fee_parts(row, number),
        occurred_at=_occurred_at(row, number),
        psp_payout_id=_identifier(row, "payout_id", number, required=False)
        if "payout_id" in row
        else "",
        conversion=_conversion(row, number) if row.get("paid_currency") else None,
        available_on=_available_on(row, number),
    )


def _conversion(row: Row, number: int) -> Conversion:
    try:
        paid_minor = _integer(row, "paid_minor", number, _AMOUNT)
        paid = AMOUNTS.from_psp(paid_minor, row["paid_currency"])
        return Conversion(paid=paid, rate=row["exchange_rate"])
    except (KeyError, ValueError, LedgerError):
        raise _unreadable(number, "not an amount that was converted") from None


def _available_on(row: Row, number: int) -> date | None:
    said = row.get("available_on", "")
    try:
        return date.fromisoformat(said) if said else None
    except ValueError:
        raise _unreadable(number, "available_on is not a day") from None


def _fee_parts(row: Row, number: int) -> FeeParts | None:
    if not set(_FEE_PARTS) <= row.keys():
        return None
    markup, interchange, scheme_fee = (
        AMOUNTS.from_psp(_integer(row, name, number, _AMOUNT), row["currency"])
        for name in _FEE_PARTS
    )
    return FeeParts(markup=markup, interchange=interchange, scheme_fee=scheme_fee)


def _integer(row: Row, column: str, number: int, form: re.Pattern[str]) -> int:
    if not form.fullmatch(row[column]):
        raise _unreadable(number, f"{column} is not an integer")
    return int(row[column])


def _identifier(row: Row, column: str, number: int, *, required: bool) -> str:
    """An identifier that the PSP made."""
    value = row[column]
    if not _IDENTIFIER.fullmatch(value) and (value or required):
        raise _unreadable(number, f"{column} is not an identifier")
    return value


def _text(row: Row, column: str, number: int, *, required: bool = False) -> str:
    """A text that the merchant chose."""
    value = row[column]
    if len(value) > _TEXT_MAX or _CONTROL_CHARACTER.search(value) or (required and not value):
        raise _unreadable(number, f"{column} is not a text of at most {_TEXT_MAX} characters")
    return value


def _occurred_at(row: Row, number: int) -> datetime:
    try:
        return _moment(row["occurred_at"])
    except (ValueError, OverflowError):
        raise _unreadable(number, "occurred_at is not a time with its zone") from None


def _moment(text: str) -> datetime:
    if not _MOMENT.fullmatch(text):
        raise ValueError("not a time with its zone")
    return datetime.fromisoformat(text).astimezone(UTC)


def _unreadable(number: int, why: str) -> ReportUnreadable:
    return ReportUnreadable(f"line {number}: {why}")
