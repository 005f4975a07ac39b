"""Scenes about disputes: two that the shop answers, and one of which nobody tells us."""

from __future__ import annotations

import time
from typing import Final

import stripe

from payments.demo.shop import Shop, expect, patience_ends_at

_LOOK_EVERY_SECONDS: Final = 0.25


def disputed_sales(shop: Shop) -> str:
    """One is answered with evidence and won; the shop gives in to the other."""
    method = "pm_card_createDispute"
    answered = shop.create(shop.order("delivered"), 25_000, "USD", method=method)
    given_up = shop.create(shop.order("never-sent"), 4_000, "USD", method=method)
    won = _wait_for(shop, answered, ("needs_response",))
    lost = _wait_for(shop, given_up, ("needs_response",))
    taken = won.balance_transactions[0]
    expect(taken.net == -26_500, f"the dispute took {taken.net}, not 265.00 with its fee")
    disputes = shop.client.v1.disputes
    disputes.update(
        won.id,
        params={"evidence": {"uncategorized_text": "winning_evidence"}},
        options={"idempotency_key": f"{shop.day}-{won.id}-evidence"},
    )
    closed = disputes.close(lost.id, options={"idempotency_key": f"{shop.day}-{lost.id}-close"})
    expect(closed.status == "lost", f"{lost.id} is {closed.status}, not lost")
    _wait_for(shop, answered, ("won", "lost"), should_be="won")
    return "two payments were disputed: 250.00 USD won with evidence, 40.00 USD given up"


def unheard_dispute(shop: Shop) -> str:
    """The bank takes the money, and every notice of it is lost: only the report will tell."""
    intent = shop.create(shop.order("nobody-told-us"), 5_200, "USD")
    shop.psp.dispute_unheard(shop.order("nobody-told-us"))
    found = shop.client.v1.disputes.list(params={"payment_intent": intent.id}).data
    expect(not found, f"{found and found[0].id} is known although every notice was lost")
    return "a bank took 52.00 USD back and no notice of it came: the settlement report will tell"


def _wait_for(
    shop: Shop, intent: stripe.PaymentIntent, statuses: tuple[str, ...], *, should_be: str = ""
) -> stripe.Dispute:
    """The payment's dispute once it has one of these statuses; goes wrong when patience ends."""
    deadline = patience_ends_at()
    while True:
        found = shop.client.v1.disputes.list(params={"payment_intent": intent.id}).data
        if found and found[0].status in statuses:
            expect(not should_be or found[0].status == should_be, f"{found[0].id} was lost")
            return found[0]
        seen = found[0].status if found else "not there"
        expect(time.monotonic() < deadline, f"the dispute of {intent.id} is {seen}")
        time.sleep(_LOOK_EVERY_SECONDS)
