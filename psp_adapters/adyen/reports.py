"""Lists and parses Adyen's settlement detail reports. No I/O.

Columns are found by their names: newer files have more of them. The direction of a line is that of
the column which is filled, never that of its type. Amounts are in major units. The file has no
control row: a line that is missing from it cannot be noticed.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

from ledger.exceptions import LedgerError
from ledger.money import Money
from psp_adapters.adyen import vocabulary
from psp_adapters.adyen.dispute_facts import SECOND
from psp_adapters.adyen.facts import name_of
from psp_adapters.adyen.mapping import AMOUNTS
from psp_adapters.contract.report_files import ReportFile
from psp_adapters.contract.settlement_reports import (
    ACCOUNT_LINES,
    OPERATION_LINES,
    Conversion,
    FeeParts,
    LineKind,
    ReportLine,
    ReportListing,
    ReportUnreadable,
)
from psp_adapters.contract.stored_notifications import StoredNotification

COLUMNS: Final = (
    *("Merchant Account", "Psp Reference", "Merchant Reference", "Creation Date", "TimeZone"),
    *("Type", "Modification Reference", "Modification Merchant Reference"),
    *("Gross Currency", "Gross Debit (GC)", "Gross Credit (GC)"),
    *("Net Currency", "Net Debit (NC)", "Net Credit (NC)"),
)
FEES: Final = ("Commission (NC)", "Markup (NC)", "Scheme Fees (NC)", "Interchange (NC)")
"""Each may be empty, or its column be missing. With blended prices Adyen states a commission, else
the other three."""
_KINDS: Final = {
    **dict.fromkeys(("Settled", "SettledBulk", "SettledInInstallments"), LineKind.CHARGE),
    "SettledReversed": LineKind.CHARGE_FAILURE,
    **dict.fromkeys(("Refunded", "RefundedBulk"), LineKind.REFUND),
    "RefundedReversed": LineKind.REFUND_FAILURE,
    **dict.fromkeys(("Chargeback", "SecondChargeback"), LineKind.DISPUTE),
    "ChargebackReversed": LineKind.DISPUTE_REVERSAL,
    **dict.fromkeys(
        ("Fee", "MiscCosts", "InvoiceDeduction", "PaymentCost", "AuthorisationSchemeFee"),
        LineKind.FEE,
    ),
    **dict.fromkeys(("DepositCorrection", "ReserveAdjustment"), LineKind.RESERVE),
    "MerchantPayout": LineKind.PAYOUT,
    "BankInstructionReturned": LineKind.PAYOUT_REVERSAL,
}
# Hours east of Greenwich. Adyen writes the zone of the account's reports by its short name.
_ZONES: Final = {
    **dict.fromkeys(("UTC", "GMT", "WET"), 0),
    **dict.fromkeys(("BST", "CET", "WEST"), 1),
    **dict.fromkeys(("CEST", "EET"), 2),
    **dict.fromkeys(("EEST", "MSK"), 3),
    **dict.fromkeys(("SGT", "HKT", "AWST"), 8),
    **dict.fromkeys(("JST", "KST"), 9),
    **dict.fromkeys(("CDT", "EST"), -5),
    **dict.fromkeys(("CST", "MDT"), -6),
    **dict.fromkeys(("MST", "PDT"), -7),
    "GST": 4,
    "AEST": 10,
    "AEDT": 11,
    "NZST": 12,
    "NZDT": 13,
    "BRT": -3,
    "EDT": -4,
    "PST": -8,
}
_TEXT_MAX: Final = 500
_TYPE_MAX: Final = 64
_ID_MAX: Final = 128
_IDENTIFIER: Final = re.compile(r"[!-~]{1,128}")
_MOMENT: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}:[0-9]{2}")
_UNREADABLE: Final = (KeyError, TypeError, ValueError, OverflowError, LedgerError)

_NAME: Final = re.compile(r"settlement_detail_report_batch_[0-9]{1,12}\.csv")

Row = Mapping[str, str]


def is_name(name: str) -> bool:
    """Whether it is the name of a settlement detail report; others are not fetched."""
    return _NAME.fullmatch(name) is not None


def listings_of(
    stored: Sequence[StoredNotification], *, since: datetime | None
) -> list[ReportListing]:
    """The reports that notifications have announced, oldest first, each once.

    A name is signed. The address that Adyen sends with it is not, and so is not used.
    """
    closed: dict[str, datetime] = {}
    for each in stored:
        name = name_of(each)
        if each.type == vocabulary.REPORT_EVENT and is_name(name):
            closed[name] = min(closed.get(name, each.occurred_at), each.occurred_at)
    found = [
        ReportListing(name=name, closed_at=at, line_count=None)
        for name, at in closed.items()
        if since is None or at >= since
    ]
    return sorted(found, key=lambda listing: (listing.closed_at, listing.name))


def read(file: ReportFile, *, merchant_account: str) -> Iterator[ReportLine]:
    """Yield the lines of a report. Raises ReportUnreadable if it is none, or of another account."""
    columns = file.progress.columns
    for number, raw in file.text_lines():
        try:
            [fields] = csv.reader(io.StringIO(raw.decode("utf-8-sig"), newline=""), strict=True)
        except (csv.Error, ValueError) as error:
            raise _unreadable(number, error) from None
        if not columns:
            _require_columns(fields)
            columns += fields
            continue
        if len(fields) != len(columns):
            raise ReportUnreadable(f"line {number}: another number of fields than the header")
        row = dict(zip(columns, fields, strict=True))
        if row["Merchant Account"] not in ("", merchant_account):
            raise ReportUnreadable(f"line {number}: of another merchant account")
        try:
            line = _line(row)
        except _UNREADABLE as error:
            raise _unreadable(number, error) from None
        yield line
    if not columns:
        raise ReportUnreadable("it is empty")


def _require_columns(columns: list[str]) -> None:
    named = [each for each in columns if each]
    if len(set(named)) != len(named):
        raise ReportUnreadable("two columns of one name")
    for column in COLUMNS:
        if column not in columns:
            raise ReportUnreadable(f"the column {column} is missing")


def _line(row: Row) -> ReportLine:
    kind = _KINDS.get(row["Type"], LineKind.UNKNOWN)
    parts = _fee_parts_of(row)
    gross, paid = _grosses_of(row, parts.total)
    reference = row["Modification Merchant Reference"] or row["Merchant Reference"]
    psp_id, payment_id = _operation_id_of(row, kind), row["Psp Reference"]
    if kind is not LineKind.UNKNOWN and kind not in ACCOUNT_LINES:
        _require_identifier(psp_id)
        _require_identifier(payment_id)
    for each in (row["Type"], psp_id, payment_id, reference):
        if len(each) > _TEXT_MAX or not each.isprintable():
            raise ValueError("a text is too long, or has control characters")
    if not row["Type"]:
        raise ValueError("its type is missing")
    return ReportLine(
        identity="",
        kind=kind,
        psp_type=row["Type"][:_TYPE_MAX],
        psp_id=psp_id,
        psp_payment_id=payment_id,
        reference=reference,
        gross=gross,
        fee=parts.total,
        stated_fee_parts=parts,
        occurred_at=_moment_of(row["Creation Date"], row["TimeZone"]),
        psp_payout_id=_batch_of(row),
        conversion=Conversion(paid=paid, rate=row.get("Exchange Rate", ""))
        if kind in OPERATION_LINES and paid.currency != gross.currency
        else None,
    )


def _batch_of(row: Row) -> str:
    """The number of the batch, which one payout pays out."""
    number = row.get("Batch Number", "")
    if number:
        _require_identifier(number)
    return number


def _operation_id_of(row: Row, kind: LineKind) -> str:
    """The id of the capture, refund or dispute; of a sale the payment's.

    A capture of ours has a reference of its own. One without began at Adyen, as a sale's does. Of a
    payout or a fee it is what Adyen calls it, cut.
    """
    if kind in ACCOUNT_LINES:
        return row["Modification Reference"][:_ID_MAX]
    own = row["Modification Merchant Reference"]
    is_sale = kind in (LineKind.CHARGE, LineKind.CHARGE_FAILURE) and own in (
        "",
        row["Merchant Reference"],
    )
    if row["Type"] == "SecondChargeback":
        return f"{row['Modification Reference']}{SECOND}"
    return row["Psp Reference"] if is_sale else row["Modification Reference"]


def _fee_parts_of(row: Row) -> FeeParts:
    """The fees in the currency of our balance."""
    currency = row["Net Currency"]
    commission, markup, scheme_fee, interchange = (
        AMOUNTS.from_major(row.get(name) or "0", currency) for name in FEES
    )
    return FeeParts(markup=commission + markup, interchange=interchange, scheme_fee=scheme_fee)


def _grosses_of(row: Row, fee: Money) -> tuple[Money, Money]:
    """What it changed before fees, in the currency of our balance, and in that of the payment.

    Of an amount that Adyen converted, the first is net and fees together.
    """
    currency = row["Net Currency"]
    net = _one_of(row, credit="Net Credit (NC)", debit="Net Debit (NC)", currency=currency)
    if not row["Gross Currency"] or not (row["Gross Credit (GC)"] or row["Gross Debit (GC)"]):
        return net + fee, net + fee
    gross = _one_of(
        row,
        credit="Gross Credit (GC)",
        debit="Gross Debit (GC)",
        currency=row["Gross Currency"],
    )
    if gross.currency != currency:
        return net + fee, gross
    if gross - fee != net:
        raise ValueError("gross, fees and net do not agree")
    return gross, gross


def _one_of(row: Row, *, credit: str, debit: str, currency: str) -> Money:
    """The amount of the one column that is filled: positive if it is a credit."""
    given, taken = row[credit], row[debit]
    if bool(given) == bool(taken):
        raise ValueError("not exactly one of debit and credit")
    amount = AMOUNTS.from_major(given or taken, currency)
    return amount if given else Money.zero(currency) - amount


def _moment_of(said: str, zone: str) -> datetime:
    if not _MOMENT.fullmatch(said):
        raise ValueError("not a time")
    if zone not in _ZONES:
        raise ValueError("a time zone that is not known")
    local = timezone(timedelta(hours=_ZONES[zone]))
    return datetime.fromisoformat(said).replace(tzinfo=local).astimezone(UTC)


def _require_identifier(value: str) -> None:
    if not _IDENTIFIER.fullmatch(value):
        raise ValueError("not an identifier")


def _unreadable(number: int, error: Exception) -> ReportUnreadable:
    # The texts of CSV errors may quote what was read; ours do not.
    why = str(error) if type(error) is ValueError else type(error).__name__
    return ReportUnreadable(f"line {number}: {why}")
