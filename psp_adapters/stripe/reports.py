"""Builds, lists and parses settlement reports: one per automatic payout. No I/O.

Stripe lists a payout's balance transactions, but has no file of them that proves to be whole. So
the adapter writes one from the list: a line of JSON for each transaction, and one control row per
currency at the end. Stripe's own file, the itemized payout reconciliation, is read too. It has no
control row: a line missing from it cannot be noticed.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from ledger.money import CURRENCY_EXPONENTS, Money
from psp_adapters.contract import report_rows
from psp_adapters.contract.answers import Contradiction, text
from psp_adapters.contract.report_files import ReportFile
from psp_adapters.contract.report_rows import (
    UNREADABLE,
    checked_line,
    read_rows,
    unreadable,
)
from psp_adapters.contract.settlement_reports import (
    Conversion,
    LineKind,
    ReportLine,
    ReportListing,
    ReportUnreadable,
)
from psp_adapters.stripe.mapping import AMOUNTS, REFERENCE, Json, moment_of, money_of

PAGES_MAX: Final = 1_000
"""Of a payout's balance transactions, a hundred each."""
CSV_COLUMNS: Final = (
    *("balance_transaction_id", "created", "currency", "gross", "fee", "net"),
    *("reporting_category", "source_id", "payment_intent_id"),
)
_CSV_REFERENCE: Final = f"payment_metadata[{REFERENCE}]"
_PAYOUT: Final = "payout"
_KINDS: Final = {
    **report_rows.KINDS,
    "network_cost": LineKind.FEE,
    "connect_reserved_funds": LineKind.RESERVE,
}
"""What is missing here, such as a correction by Stripe, is for an operator to explain."""
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
_ADDED_KEYS: Final = ("payout",)
"""Behind them, in reports that were written since these are read."""
_CONVERTED_KEYS: Final = ("paid", "paid_currency", "rate")
"""Behind these, of what Stripe converted."""
_AVAILABLE_KEYS: Final = ("available",)
"""At the end, since the day is read."""
_FORMS: Final = (
    _LINE_KEYS,
    _LINE_KEYS + _ADDED_KEYS,
    _LINE_KEYS + _ADDED_KEYS + _CONVERTED_KEYS,
    _LINE_KEYS + _ADDED_KEYS + _AVAILABLE_KEYS,
    _LINE_KEYS + _ADDED_KEYS + _CONVERTED_KEYS + _AVAILABLE_KEYS,
)
_AVAILABLE_COLUMNS: Final = ("available_on_utc", "available_on")
_NAME: Final = re.compile(r"po_[A-Za-z0-9]{1,96}")
_MOMENT: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}:[0-9]{2}Z?")


def is_name(name: str) -> bool:
    """Whether it can be the name of a report: the id of a payout."""
    return _NAME.fullmatch(name) is not None


def balance_of(view: Json) -> tuple[Money, ...]:
    """What Stripe holds for the account by currency, available and pending together."""
    totals: dict[str, Money] = {}
    for each in (*view["available"], *view["pending"]):
        amount = money_of(each["amount"], each["currency"])
        before = totals.get(amount.currency, Money.zero(amount.currency))
        totals[amount.currency] = before + amount
    return tuple(totals[currency] for currency in sorted(totals))


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
    """A payout's transactions as a report, its own among them: the same bytes at every fetch.

    Raises Contradiction if they do not add up to the payout, and as `listings_of`.
    """
    if payout["id"] != name:
        raise Contradiction("another payout")
    moved = [each for each in transactions if each["type"] != _PAYOUT]
    if sum(each["net"] for each in moved) != payout["amount"]:
        raise Contradiction("the transactions do not add up to the payout")
    ordered = sorted(transactions, key=lambda each: (each["created"], each["id"]))
    return report_rows.render([_row_of(each, name) for each in ordered])


def _row_of(view: Json, payout: str) -> Json:
    source = view["source"] if isinstance(view["source"], dict) else {"id": view["source"]}
    category, intent = view["reporting_category"], source.get("payment_intent") or ""
    if isinstance(intent, dict):
        intent = intent["id"]
    available = {"available": view["available_on"]} if "available_on" in view else {}
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
        "payout": payout,
        **_converted(view, source),
        **available,
    }


def _converted(view: Json, source: Json) -> Json:
    """What the customer paid or got, if Stripe converted it; with the sign of the gross."""
    currency = source.get("currency", view["currency"])
    if currency == view["currency"] or not view["amount"]:
        return {}
    # A charge is told with all that was authorized, and what was not captured is reversed.
    amount = abs(source["amount"])
    if view["reporting_category"] == "partial_capture_reversal":
        amount -= source["amount_captured"]
    rate = view.get("exchange_rate")
    return {
        "paid": amount if view["amount"] > 0 else -amount,
        "paid_currency": currency,
        "rate": "" if rate is None else format(Decimal(str(rate)), "f"),
    }


def read(file: ReportFile) -> Iterator[ReportLine]:
    """Yield the lines of a report of either form.

    Raises ReportUnreadable if it is not a whole one, as far as its form tells.
    """
    return read_rows(file, _line) if file.begins_with(b"{") else _read_csv(file)


def _line(row: Json) -> ReportLine:
    if tuple(row) not in _FORMS:
        raise ValueError("neither a line nor a control row")
    currency = row["currency"]
    if currency.upper() not in CURRENCY_EXPONENTS or not currency.islower():
        raise ValueError("not a currency that we know")
    gross, fee, net = (money_of(row[name], currency) for name in ("gross", "fee", "net"))
    return checked_line(
        identity=row["id"],
        psp_type=row["category"],
        psp_id=_subject_of(row["category"], row["source"], row["intent"]),
        psp_payment_id=row["intent"],
        reference=row["reference"],
        money=(gross, fee, net),
        occurred_at=moment_of(row["created"]),
        kinds=_KINDS,
        psp_payout_id=row.get("payout", ""),
        conversion=_conversion_of(row),
        available_on=moment_of(row["available"]).date() if "available" in row else None,
    )


def _conversion_of(row: Json) -> Conversion | None:
    if "paid" not in row:
        return None
    return Conversion(paid=money_of(row["paid"], row["paid_currency"]), rate=row["rate"])


def _subject_of(category: str, source: str, intent: str) -> str:
    """A charge is named by its payment: the ids of captures and sales are those of intents."""
    return source if category in _NAMES_A_SOURCE or not intent else intent


def _read_csv(file: ReportFile) -> Iterator[ReportLine]:
    """Stripe's itemized payout reconciliation: amounts in major units, times in UTC."""
    columns = file.progress.columns
    for number, raw in file.text_lines():
        try:
            [fields] = csv.reader(io.StringIO(raw.decode(), newline=""), strict=True)
        except (csv.Error, ValueError) as error:
            raise unreadable(number, error) from None
        if not columns:
            _require_columns(fields)
            columns += fields
            continue
        if len(fields) != len(columns):
            raise ReportUnreadable(f"line {number}: another number of fields than the header")
        row = dict(zip(columns, fields, strict=True))
        try:
            line = _csv_line(row)
        except UNREADABLE as error:
            raise unreadable(number, error) from None
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
    available = [row.get(column, "") for column in _AVAILABLE_COLUMNS]
    gross, fee, net = (AMOUNTS.from_major(row[name], currency) for name in ("gross", "fee", "net"))
    is_of_payment = row["reporting_category"] not in _NAMES_A_SOURCE
    return checked_line(
        identity=row["balance_transaction_id"],
        psp_type=row["reporting_category"],
        psp_id=_subject_of(row["reporting_category"], row["source_id"], row["payment_intent_id"]),
        psp_payment_id=row["payment_intent_id"],
        reference=row.get(_CSV_REFERENCE, "") if is_of_payment else "",
        money=(gross, fee, net),
        occurred_at=_moment(row["created"]),
        kinds=_KINDS,
        psp_payout_id=row.get("automatic_payout_id", ""),
        conversion=_conversion_in_csv(row, gross),
        available_on=next((_moment(each).date() for each in available if each), None),
    )


def _conversion_in_csv(row: dict[str, str], gross: Money) -> Conversion | None:
    """What the customer paid or got, if it was in another currency; the file states no rate."""
    amount, currency = (row.get(f"customer_facing_{name}", "") for name in ("amount", "currency"))
    if not amount or currency.upper() in ("", gross.currency):
        return None
    return Conversion(paid=AMOUNTS.from_major(amount, currency.upper()), rate="")


def _moment(said: str) -> datetime:
    if not _MOMENT.fullmatch(said):
        raise ValueError("not a time")
    return datetime.fromisoformat(said.removesuffix("Z")).replace(tzinfo=UTC)
