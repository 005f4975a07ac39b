"""A day of two merchants with something for every export: paid, refunded, disputed, settled, on the
bank, and not explained. No tests."""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from datetime import date
from io import BytesIO, StringIO
from typing import Any

from payments import public_ids
from payments.clock import now_utc
from payments.models import ApiKey, Operation
from payments.tests.support.dispute_desk import Desk
from payments.tests.support.shop import Shop
from reconciliation.models import SettlementLine
from reconciliation.services.exports.registry import chosen_by, export_named
from reconciliation.services.exports.writing import Manifest, write_export
from reconciliation.tests.support.banking import FIRST_DAY, Banking, camt


@dataclass
class BusinessDay:
    """What was made; everything of the other merchant is in another PSP account's books too."""

    banking: Banking
    other: Shop
    paid: str
    """The payment that was refunded in part, and settled."""
    disputed: str

    @property
    def shop(self) -> Shop:
        return self.banking.settling.shop

    @property
    def merchant(self) -> str:
        """The public id of the first merchant."""
        return public_ids.encode(public_ids.MERCHANT, self.shop.merchant.id)


def play_business_day(banking: Banking, other: Shop) -> BusinessDay:
    """Two merchants, of which the first has all of it."""
    shop, desk = banking.settling.shop, banking.settling.desk
    shop.merchant.platform_fee_basis_points = 150
    shop.merchant.save(update_fields=["platform_fee_basis_points"])
    paid = desk.pay(10_000)
    key = ApiKey.objects.create(merchant=shop.merchant, secret_sha256="0" * 64, last4="abcd")
    shop.refund(paid, 2_000, caller=replace(shop.caller(), actor=f"api_key:{key.id}"))
    shop.order_id = "order-held"
    shop.create(700, manual=True)
    shop.order_id = "order-declined"
    shop.create(800, token="pm_card_chargeDeclined")
    shop.order_id = "order-disputed"
    disputed = desk.pay(25_000)
    desk.opened()
    theirs = Desk(other)
    other.refund(theirs.pay(4_000, currency="EUR"), 100)
    other.order_id = "order-of-the-other"
    theirs.pay(5_000, currency="EUR")
    theirs.opened()
    charge = Operation.objects.get(pk=shop.intent(paid).latest_charge_id)
    banking.report(
        f"l1 charge {charge.psp_id} 10000 165",
        "l2 payout po_1234567 -9000 25",
        "l3 charge cap_of_another_system 500 0",
        "l4 mystery x_1 70 0",
    )
    entries = (("90.00", "ACME PO 1234567"), ("5.00", "REBATE"))
    banking.import_(camt(*entries, closing="95.00"))
    banking.match()
    banking.give_up()
    return BusinessDay(banking=banking, other=other, paid=paid, disputed=disputed)


def today() -> date:
    return now_utc().date()


def exported(name: str, **limits: Any) -> tuple[list[dict[str, str]], Manifest, bytes]:
    """An export of all days of a business day, or limited: its rows, its manifest, its bytes."""
    export = export_named(name)
    # The sandbox PSP is shared by tests, of which some let its time pass.
    told = (at.date() for at in SettlementLine.objects.values_list("occurred_at", flat=True))
    spans = {"first": FIRST_DAY, "last": max([today(), *told])}
    days = {"some days": spans, "the end of a day": {"last": today()}, "now": {}}[export.period]
    file = BytesIO()
    manifest = write_export(export, chosen_by(export, **{**days, **limits}), file)
    rows = csv.DictReader(StringIO(file.getvalue().decode(), newline=""))
    return list(rows), manifest, file.getvalue()
