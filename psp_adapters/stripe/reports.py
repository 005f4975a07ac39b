"""Builds, lists and parses settlement reports: one per automatic payout. No I/O.

Stripe lists a payout's balance transactions, but has no file of them that proves to be whole. So
the adapter writes one from the list: a line of JSON for each transaction, and one control row per
currency at the end. Stripe's own file, the itemized payout reconciliation, is read too. It has no
control row: a line missing from it cannot be noticed.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from ledger.exceptions import LedgerError
from ledger.money import CURRENCY_EXPONENTS, Money
from psp_adapters.contract.settlement_reports import (
    LineKind,
    ReportLine,
    ReportListing,
    ReportUnreadable,
)
from psp_adapters.stripe.mapping import REFERENCE, Contradiction, Json, moment_of, money_of, text

PAGES_MAX: Final = 1_000
"""Of a payout's balance transactions, a hundred each."""
CSV_COLUMNS: Final = (
    *("balance_transaction_id", "created", "currency", "gross", "fee", "net"),
    *("reporting_category", "source_id", "payment_intent_id"),
)
_CSV_REFERENCE: Final = f"payment_metadata[{REFERENCE}]"
_KINDS: Final = {kind.value: kind for kind in LineKind if kind is not LineKind.UNKNOWN}
_PAYOUT: Final = "payout"
_NAMES_A_SOURCE: Final = frozenset(
    {
        *(LineKind.REFUND, LineKind.REFUND_FAILURE),
        *(LineKind.DISPUTE, LineKind.DISPUTE_REVERSAL, LineKind.DISPUTE_FEE),
    }
)
_LINE_KEYS: Final = (
    *("id", "category", "source", "intent", "reference"),
    *("currency", "gross", "fee", "net", "created"),
)
_TOTAL_KEYS: Final = ("total", "lines", "gross", "fee", "net")
_ROW_BYTES_MAX: Final = 16 * 1024
_TEXT_MAX: Final = 500
_TYPE_MAX: Final = 64
_NAME: Final = re.compile(r"po_[A-Za-z0-9]{1,96}")
_IDENTIFIER: Final = re.compile(r"[!-~]{1,128}")
_DECIMAL: Final = re.compile(r"(-?)([0-9]{1,15})(?:\.([0-9]{1,3}))?")
_MOMENT: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}:[0-9]{2}Z?")
_UNREADABLE: Final = (
    *(KeyError, TypeError, ValueError, OverflowError, RecursionError),
    *(LedgerError, Contradiction),
)


def is_name(name: str) -> bool:
    """Whether it can be the name of a report: the id of a payout."""
    return _NAME.fullmatch(name) is not None


def since_query(since: datetime) -> Json:
    """The filter of payouts that arrived at that time or later."""
    return {"arrival_date": {"gte": int(since.timestamp())}}


def listings_of(payouts: Sequence[Json], *, since: datetime | None) -> list[ReportListing]:
    """The automatic payouts whose transactions are complete, oldest first.

    Stripe cannot say what is in a manual payout.
    """
    found = []
    for view in payouts:
        complete = view.get("reconciliation_status", "completed") in ("completed", "not_applicable")
        if not (view["automatic"] is True and complete):
            continue
        name = text(view["id"])
        if not is_name(name):
            raise ValueError("not a payout's id")
        listing = ReportListing(
            name=name, closed_at=moment_of(view["arrival_date"]), line_count=None
        )
        if since is None or listing.closed_at >= since:
            found.append(listing)
    return sorted(found, key=lambda listing: (listing.closed_at, listing.name))


def report_of(payout: Json, transactions: Sequence[Json], *, name: str) -> bytes:
    """A payout's transactions as a report: the same bytes whenever it is fetched.

    Raises Contradiction if they do not add up to the payout, and as `listings_of`.
    """
    if payout["id"] != name:
        raise Contradiction("another payout")
    moved = [each for each in transactions if each["type"] != _PAYOUT]
    if sum(each["net"] for each in moved) != payout["amount"]:
        raise Contradiction("the transactions do not add up to the payout")
    ordered = sorted(moved, key=lambda each: (each["created"], each["id"]))
    return render([_row_of(each) for each in ordered])


def render(rows: Sequence[Json]) -> bytes:
    """Rows and their control rows as the bytes of a report."""
    sums: dict[str, list[int]] = {}
    for row in rows:
        _add(sums, row)
    totals = [
        dict(zip(_TOTAL_KEYS, (currency, *numbers), strict=True))
        for currency, numbers in sorted(sums.items())
    ]
    return b"".join(json.dumps(each).encode() + b"\n" for each in (*rows, *totals))


def _row_of(view: Json) -> Json:
    source = view["source"] if isinstance(view["source"], dict) else {"id": view["source"]}
    category, intent = view["reporting_category"], source.get("payment_intent") or ""
    if isinstance(intent, dict):
        intent = intent["id"]
    return {
        "id": view["id"],
        "category": category,
        "source": source.get("id") or "",
        "intent": intent,
        "reference": (source.get("metadata") or {}).get(REFERENCE, ""),
        "currency": view["currency"],
        "gross": view["amount"],
        "fee": view["fee"],
        "net": view["net"],
        "created": view["created"],
    }


def read(body: bytes) -> Iterator[ReportLine]:
    """Yield the lines of a report of either form.

    Raises ReportUnreadable if it is not a whole one, as far as its form tells.
    """
    return _read_rows(body) if body[:1] == b"{" else _read_csv(body)


def _read_rows(body: bytes) -> Iterator[ReportLine]:
    sums: dict[str, list[int]] = {}
    confirmed: set[str] = set()
    for number, raw in _lines_of(body):
        try:
            row = json.loads(raw)
            if tuple(row) == _TOTAL_KEYS:
                _require_total(row, sums, confirmed)
                continue
            if confirmed or tuple(row) != _LINE_KEYS:
                raise ValueError("neither a line nor a control row")
            line = _line(row)
            _add(sums, row)
        except _UNREADABLE as error:
            raise _unreadable(number, error) from None
        yield line
    if not sums or confirmed != sums.keys():
        raise ReportUnreadable("its end is missing: not every currency has its control row")


def _add(sums: dict[str, list[int]], row: Json) -> None:
    of_currency = sums.setdefault(row["currency"], [0, 0, 0, 0])
    for place, number in enumerate((1, row["gross"], row["fee"], row["net"])):
        of_currency[place] += number


def _require_total(row: Json, sums: dict[str, list[int]], confirmed: set[str]) -> None:
    currency, *numbers = row.values()
    if not all(type(number) is int for number in numbers):
        raise TypeError("a sum is not an integer")
    if currency in confirmed or sums[currency] != numbers:
        raise ValueError("other sums than it says, or a second control row")
    confirmed.add(currency)


def _line(row: Json) -> ReportLine:
    kind = _KINDS.get(row["category"], LineKind.UNKNOWN)
    currency = row["currency"]
    if currency.upper() not in CURRENCY_EXPONENTS or not currency.islower():
        raise ValueError("not a currency that we know")
    gross, fee, net = (money_of(row[name], currency) for name in ("gross", "fee", "net"))
    return _checked(
        identity=_identifier(row["id"]),
        kind=kind,
        psp_type=row["category"],
        source=row["source"],
        intent=row["intent"],
        reference=row["reference"],
        money=(gross, fee, net),
        occurred_at=moment_of(row["created"]),
    )


def _checked(
    *,
    identity: str,
    kind: LineKind,
    psp_type: str,
    source: str,
    intent: str,
    reference: str,
    money: tuple[Money, Money, Money],
    occurred_at: datetime,
) -> ReportLine:
    gross, fee, net = money
    if gross - fee != net:
        raise ValueError("gross, fee and net do not agree")
    if max(abs(each.minor) for each in money) >= 10**15:
        raise ValueError("an amount is too large")
    # A charge is named by its payment: the ids of captures and sales are those of intents.
    psp_id = source if kind in _NAMES_A_SOURCE or not intent else intent
    if kind is not LineKind.UNKNOWN:
        _identifier(psp_id)
        _identifier(intent)
    for each in (psp_type, source, intent, reference):
        if not isinstance(each, str) or len(each) > _TEXT_MAX or not each.isprintable():
            raise ValueError("a text is too long, or has control characters")
    return ReportLine(
        identity=identity,
        kind=kind,
        psp_type=text(psp_type)[:_TYPE_MAX],
        psp_id=psp_id,
        psp_payment_id=intent,
        reference=reference,
        gross=gross,
        fee=fee,
        occurred_at=occurred_at,
    )


def _read_csv(body: bytes) -> Iterator[ReportLine]:
    """Stripe's itemized payout reconciliation: amounts in major units, times in UTC."""
    columns: list[str] = []
    for number, raw in _lines_of(body):
        try:
            [fields] = csv.reader(io.StringIO(raw.decode(), newline=""), strict=True)
        except (csv.Error, ValueError) as error:
            raise _unreadable(number, error) from None
        if not columns:
            columns = fields
            _require_columns(columns)
            continue
        if len(fields) != len(columns):
            raise ReportUnreadable(f"line {number}: another number of fields than the header")
        row = dict(zip(columns, fields, strict=True))
        if row["reporting_category"] == _PAYOUT:
            continue
        try:
            line = _csv_line(row)
        except _UNREADABLE as error:
            raise _unreadable(number, error) from None
        yield line
    if not columns:
        raise ReportUnreadable("it is empty")


def _require_columns(columns: list[str]) -> None:
    if len(set(columns)) != len(columns):
        raise ReportUnreadable("two columns of one name")
    for column in CSV_COLUMNS:
        if column not in columns:
            raise ReportUnreadable(f"the column {column} is missing")


def _csv_line(row: dict[str, str]) -> ReportLine:
    currency = row["currency"].upper()
    kind = _KINDS.get(row["reporting_category"], LineKind.UNKNOWN)
    if not _MOMENT.fullmatch(row["created"]):
        raise ValueError("not a time")
    gross, fee, net = (_major(row[name], currency) for name in ("gross", "fee", "net"))
    is_of_payment = kind not in _NAMES_A_SOURCE
    return _checked(
        identity=_identifier(row["balance_transaction_id"]),
        kind=kind,
        psp_type=row["reporting_category"],
        source=row["source_id"],
        intent=row["payment_intent_id"],
        reference=row.get(_CSV_REFERENCE, "") if is_of_payment else "",
        money=(gross, fee, net),
        occurred_at=datetime.fromisoformat(row["created"].removesuffix("Z")).replace(tzinfo=UTC),
    )


def _major(said: str, currency: str) -> Money:
    """An amount in major units; digits beyond the currency's decimals must be zeros."""
    match = _DECIMAL.fullmatch(said)
    if match is None or currency not in CURRENCY_EXPONENTS:
        raise ValueError("not an amount")
    sign, whole, fraction = match.groups()
    decimals = CURRENCY_EXPONENTS[currency]
    digits = (fraction or "").ljust(decimals, "0")
    if digits[decimals:].strip("0"):
        raise ValueError("more decimals than the currency has")
    return Money(int(f"{sign}{whole}{digits[:decimals]}"), currency)


def _lines_of(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Each line of text with its number."""
    stream = io.BytesIO(body)  # shares the bytes
    number = 0
    while raw := stream.readline(_ROW_BYTES_MAX + 1):
        number += 1
        if len(raw) > _ROW_BYTES_MAX:
            raise ReportUnreadable(f"line {number}: too long")
        if not raw.endswith(b"\n"):
            raise ReportUnreadable(f"line {number}: it ends in the middle")
        yield number, raw


def _identifier(value: Any) -> str:
    if not isinstance(value, str) or not _IDENTIFIER.fullmatch(value):
        raise ValueError("not an identifier")
    return value


def _unreadable(number: int, error: Exception) -> ReportUnreadable:
    # The texts of JSON and CSV errors may quote what was read; ours do not.
    why = str(error) if type(error) in (ValueError, Contradiction) else type(error).__name__
    return ReportUnreadable(f"line {number}: {why}")
