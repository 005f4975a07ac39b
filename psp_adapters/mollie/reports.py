"""Builds, lists and parses settlement reports: one per settlement that was paid out. No I/O.

Mollie lists the payments, captures, refunds and chargebacks of a settlement, each in the currency
that it was settled in. What it charges is stated for the whole settlement, not for each payment: it
becomes one line, and the payout another. The adapter writes a report of them, which proves to be
whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from mollie.api.objects.settlement import Settlement as SettlementHandle
from mollie.api.resources.captures import SettlementCaptures
from mollie.api.resources.chargebacks import SettlementChargebacks
from mollie.api.resources.payments import SettlementPayments
from mollie.api.resources.refunds import SettlementRefunds

from ledger.money import Money
from psp_adapters.contract import report_rows
from psp_adapters.contract.answers import Contradiction, text
from psp_adapters.contract.report_files import ReportFile
from psp_adapters.contract.report_rows import checked_line
from psp_adapters.contract.settlement_reports import (
    Conversion,
    LineKind,
    ReportLine,
    ReportListing,
)
from psp_adapters.mollie.mapping import AMOUNTS, Json, moment_of, money_of, reference_of
from psp_adapters.mollie.vocabulary import PAID_OUT

PAGES_MAX: Final = 1_000
"""Of each list of a settlement, 250 lines each."""
LISTS: Final = {
    "payments": LineKind.CHARGE,
    "captures": LineKind.CHARGE,
    "refunds": LineKind.REFUND,
    "chargebacks": LineKind.DISPUTE,
}
"""What Mollie lists of a settlement, with the kind of its lines."""
COSTS: Final = "costs"
_KINDS: Final = {**report_rows.KINDS, COSTS: LineKind.FEE}
_KEYS: Final = (
    *("id", "category", "payment", "reference", "currency"),
    *("gross", "fee", "net", "created"),
)
_ADDED_KEYS: Final = ("settlement",)
"""Behind them, in reports that were written since these are read."""
_CONVERTED_KEYS: Final = ("paid", "paid_currency")
"""Behind these, of what was paid in another currency."""
_FORMS: Final = (_KEYS, _KEYS + _ADDED_KEYS, _KEYS + _ADDED_KEYS + _CONVERTED_KEYS)
_NAME: Final = re.compile(r"stl_[A-Za-z0-9]{1,96}")


_RESOURCES: Final = {
    "payments": SettlementPayments,
    "captures": SettlementCaptures,
    "refunds": SettlementRefunds,
    "chargebacks": SettlementChargebacks,
}


def resources_of(api: Any, name: str) -> dict[str, Any]:
    """The client's lists of a settlement."""
    settlement = SettlementHandle({"id": name}, api)  # type: ignore[no-untyped-call]
    return {which: resource(api, settlement) for which, resource in _RESOURCES.items()}


def is_name(name: str) -> bool:
    """Whether it can be the name of a report: the id of a settlement."""
    return _NAME.fullmatch(name) is not None


def listings_of(settlements: Sequence[Json], *, since: datetime | None) -> list[ReportListing]:
    """The settlements that were paid out, oldest first; raises one of UNREADABLE."""
    found = []
    for view in settlements:
        if view["status"] != PAID_OUT:
            continue
        name = text(view["id"])
        if not is_name(name):
            raise ValueError("not a settlement's id")
        closed_at = moment_of(view["settledAt"])
        if since is None or closed_at >= since:
            found.append(ReportListing(name=name, closed_at=closed_at, line_count=None))
    return sorted(found, key=lambda listing: (listing.closed_at, listing.name))


def report_of(settlement: Json, lists: Mapping[str, Sequence[Json]], *, name: str) -> bytes:
    """A settlement as a report: the same bytes whenever it is fetched.

    Raises Contradiction if its lines do not add up to it, or one of UNREADABLE.
    """
    if settlement["id"] != name or settlement["status"] != PAID_OUT:
        raise Contradiction("another settlement, or one that is not paid out")
    paid = money_of(settlement["amount"])
    rows = [_row_of(view, LISTS[which]) for which, views in lists.items() for view in views]
    if {row["currency"] for row in rows} - {paid.currency}:
        raise Contradiction("a line in another currency than the settlement")
    rows.sort(key=lambda row: (row["created"], row["id"], row["category"]))
    moved = sum((Money(row["net"], paid.currency) for row in rows), Money.zero(paid.currency))
    costs = moved - paid
    _require_stated(costs, settlement)
    if costs or not rows:
        rows.append(_costs_row(settlement, costs))
    if paid:
        rows.append(_payout_row(settlement, paid))
    return report_rows.render([_in_order(row, name) for row in rows])


def _in_order(row: Json, name: str) -> Json:
    converted: Json = {key: row[key] for key in _CONVERTED_KEYS if key in row}
    return {**{key: row[key] for key in _KEYS}, "settlement": name, **converted}


def _row_of(view: Json, kind: LineKind) -> Json:
    # A payment by PayPal is settled at PayPal: then it says so by an amount of nothing.
    gross = money_of(view["settlementAmount"])
    paid = money_of(view["amount"])
    converted: Json = {}
    if paid.currency != gross.currency and gross:
        paid_minor = abs(paid.minor) if gross.minor > 0 else -abs(paid.minor)
        converted = {"paid": paid_minor, "paid_currency": paid.currency}
    return {
        "id": text(view["id"]),
        "category": kind.value,
        "payment": view["id"] if "paymentId" not in view else text(view["paymentId"]),
        "reference": reference_of(view),
        "currency": gross.currency,
        "gross": gross.minor,
        "fee": 0,
        "net": gross.minor,
        "created": int(moment_of(view["createdAt"]).timestamp()),
        **converted,
    }


def _costs_row(settlement: Json, costs: Money) -> Json:
    return {
        "id": f"{settlement['id']}:{COSTS}",
        "category": COSTS,
        "payment": "",
        "reference": "",
        "currency": costs.currency,
        "gross": 0,
        "fee": costs.minor,
        "net": -costs.minor,
        "created": int(moment_of(settlement["settledAt"]).timestamp()),
    }


def _payout_row(settlement: Json, paid: Money) -> Json:
    return {
        "id": f"{settlement['id']}:{LineKind.PAYOUT.value}",
        "category": LineKind.PAYOUT.value,
        "payment": "",
        "reference": text(settlement.get("reference") or ""),
        "currency": paid.currency,
        "gross": -paid.minor,
        "fee": 0,
        "net": -paid.minor,
        "created": int(moment_of(settlement["settledAt"]).timestamp()),
    }


def _require_stated(costs: Money, settlement: Json) -> None:
    """Raise Contradiction unless the settlement states these costs.

    Mollie states them in fractions of a minor unit, per method and month, and pays out whole ones.
    """
    periods = [each for months in settlement["periods"].values() for each in months.values()]
    said = [text(each["amountGross"]["value"]) for period in periods for each in period["costs"]]
    stated = AMOUNTS.nearest_sum(said, costs.currency)
    if abs((costs - stated).minor) > max(1, len(periods)):
        raise Contradiction("the lines and the stated costs do not add up to the settlement")


def read(file: ReportFile) -> Iterator[ReportLine]:
    """Yield the lines of a report; raises ReportUnreadable if it is not a whole one."""
    return report_rows.read_rows(file, line_of)


def line_of(row: Json) -> ReportLine:
    """A row as a line; raises one of UNREADABLE."""
    if tuple(row) not in _FORMS:
        raise ValueError("neither a line nor a control row")
    currency = row["currency"]
    gross, fee, net = (Money(row[name], currency) for name in ("gross", "fee", "net"))
    if type(row["created"]) is not int:
        raise TypeError("a time is not an integer")
    return checked_line(
        identity=row["id"],
        psp_type=row["category"],
        psp_id=row["id"],
        psp_payment_id=row["payment"],
        reference=row["reference"],
        money=(gross, fee, net),
        occurred_at=datetime.fromtimestamp(row["created"], tz=UTC),
        kinds=_KINDS,
        psp_payout_id=row.get("settlement", ""),
        conversion=Conversion(paid=Money(row["paid"], row["paid_currency"]), rate="")
        if "paid" in row
        else None,
    )
