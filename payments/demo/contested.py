"""Scenes about disputes: two that the shop answers, and one whose notifications are all lost."""

from __future__ import annotations

import time
from typing import Final

import stripe

from payments.demo.shop import Shop, expect, wait_deadline

_POLL_SECONDS: Final = 0.25


def disputed_sales(shop: Shop) -> str:
    """One is answered with evidence and won; the other is accepted as lost."""
    method = "pm_card_createDispute"
    answered = shop.create(shop.order("delivered"), 25_000, "USD", method=method)
    accepted = shop.create(shop.order("never-sent"), 4_000, "USD", method=method)
    won = _wait_for(shop, answered, ("needs_response",))
    lost = _wait_for(shop, accepted, ("needs_response",))
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
    return "two payments were disputed: 250.00 USD won with evidence, 40.00 USD accepted as lost"


def unnotified_dispute(shop: Shop) -> str:
    """Every notification of the dispute is lost: only the settlement report shows it."""
    intent = shop.create(shop.order("no-notification"), 5_200, "USD")
    shop.psp.open_unnotified_dispute(shop.order("no-notification"))
    found = shop.client.v1.disputes.list(params={"payment_intent": intent.id}).data
    expect(not found, f"{found and found[0].id} is known although every notification was lost")
    return "52.00 USD were disputed, every notification was lost: the settlement report shows it"


def _wait_for(
    shop: Shop, intent: stripe.PaymentIntent, statuses: tuple[str, ...], *, should_be: str = ""
) -> stripe.Dispute:
    """The payment's dispute once it has one of these statuses; raises WentWrong if it never has."""
    deadline = wait_deadline()
    while True:
        found = shop.client.v1.disputes.list(params={"payment_intent": intent.id}).data
        if found and found[0].status in statuses:
            expect(not should_be or found[0].status == should_be, f"{found[0].id} was lost")
            return found[0]
        seen = found[0].status if found else "not there"
        expect(time.monotonic() < deadline, f"the dispute of {intent.id} is {seen}")
        time.sleep(_POLL_SECONDS)
