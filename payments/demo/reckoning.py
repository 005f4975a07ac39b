"""Compares every payment of the day with the PSP's own record of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import stripe

from ledger.money import Money
from payments.demo.shop import Sale, Shop

_CHARGED_BACK: Final = frozenset({"needs_response", "under_review", "lost"})


@dataclass
class Reckoning:
    """The day in figures. Amounts are minor units by currency."""

    payments: int = 0
    refunds: int = 0
    captured_minor: Counter[str] = field(default_factory=Counter)
    refunded_minor: Counter[str] = field(default_factory=Counter)
    unexplained: list[str] = field(default_factory=list)

    def volumes(self) -> list[str]:
        """One line per currency."""
        return [
            f"{Money(minor, currency)} captured, {Money(self.refunded_minor[currency], currency)} "
            "refunded"
            for currency, minor in sorted(self.captured_minor.items())
        ]


def reckon(shops: Iterable[Shop]) -> Reckoning:
    """Wait for open payments, then compare each with the PSP's own record."""
    figures = Reckoning()
    for shop in shops:
        for refund_id in shop.refunds:
            _reckon_refund(figures, shop, refund_id)
        for sale in shop.sales:
            _reckon_sale(figures, shop, sale)
    return figures


def orders_of_no_shop(shops: list[Shop], *, since: int) -> list[str]:
    """Effects at the PSP for orders that no shop made."""
    known = {sale.order_id for shop in shops for sale in shop.sales}
    days = tuple({f"{shop.day}-" for shop in shops})
    return [
        f"the PSP did {effect['kind']} for {effect['order_id']}, which no shop knows"
        for effect in shops[0].psp.effects_after(since)
        if effect["order_id"].startswith(days) and effect["order_id"] not in known
    ]


def _reckon_refund(figures: Reckoning, shop: Shop, refund_id: str) -> None:
    refund = shop.wait_for_refund(refund_id)
    figures.refunds += 1
    if refund.status != "succeeded":
        figures.unexplained.append(f"{refund_id} is {refund.status}, not succeeded")


def _reckon_sale(figures: Reckoning, shop: Shop, sale: Sale) -> None:
    intent = shop.wait_for(sale.intent_id)
    currency = intent.currency.upper()
    refunded_minor = _refunded_minor(shop, sale)
    figures.payments += 1
    figures.captured_minor[currency] += intent.amount_received
    figures.refunded_minor[currency] += refunded_minor
    if intent.status != sale.should_be:
        figures.unexplained.append(f"{intent.id} is {intent.status}, not {sale.should_be}")
    at_psp = _sums(shop.psp.effects(sale.order_id))
    ours = {
        "charges": 1,
        "captured": intent.amount_received,
        "refunded": refunded_minor,
        "authorized and not captured": _not_captured_minor(intent),
        "charged back": _charged_back_minor(shop, sale),
    }
    figures.unexplained += [
        f"{intent.id} ({sale.order_id}): {what} is {minor} here and {at_psp[what]} at the PSP"
        for what, minor in ours.items()
        if at_psp[what] != minor
    ]


def _refunded_minor(shop: Shop, sale: Sale) -> int:
    listed = shop.client.v1.refunds.list(params={"payment_intent": sale.intent_id, "limit": 100})
    return sum(refund.amount for refund in listed.data if refund.status == "succeeded")


def _charged_back_minor(shop: Shop, sale: Sale) -> int:
    """Charged back by the customer's bank and not reinstated."""
    listed = shop.client.v1.disputes.list(params={"payment_intent": sale.intent_id})
    return sum(dispute.amount for dispute in listed.data if dispute.status in _CHARGED_BACK)


def _sums(effects: list[dict[str, Any]]) -> Counter[str]:
    """Amounts of one order at the PSP. `charges` counts: two would be a double charge.

    The release by a final capture is not an effect of its own, so it is not subtracted.
    """
    by_kind: Counter[str] = Counter()
    for effect in effects:
        by_kind[effect["kind"]] += effect["amount_minor"]
    held = by_kind["authorize"] + by_kind["increment"]
    return Counter(
        {
            "charges": sum(effect["kind"] == "authorize" for effect in effects),
            "captured": by_kind["capture"],
            "refunded": by_kind["refund"] - by_kind["refund_failed"],
            "authorized and not captured": held
            - by_kind["capture"]
            - by_kind["void"]
            - by_kind["expire"],
            "charged back": by_kind["dispute"] - by_kind["dispute_reversed"],
        }
    )


def _not_captured_minor(intent: stripe.PaymentIntent) -> int:
    """Authorized and not captured: still held, or released by a final capture."""
    return 0 if intent.status == "canceled" else intent.amount - intent.amount_received
