"""The scenes of the day: one function each, which returns a sentence for the output."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import stripe

from ledger.money import Money
from payments.demo.approved import refund_over_the_limit
from payments.demo.checkout import paid_on_the_page
from payments.demo.contested import disputed_sales, unnotified_dispute
from payments.demo.shop import RETURN_URL, Shop, expect
from payments.demo.web import visit

Scene = Callable[[Shop], str]


def sales_in_four_currencies(shop: Shop) -> str:
    """Currencies with two, no and three decimals."""
    amounts = [Money(4_250, "USD"), Money(3_990, "EUR"), Money(1_500, "JPY"), Money(12_340, "KWD")]
    for amount in amounts:
        intent = shop.create(shop.order(f"sale-{amount.currency}"), amount.minor, amount.currency)
        _expect_status(intent, "succeeded")
        expect(
            intent.amount_received == amount.minor,
            f"{intent.amount_received} was received of {amount.minor}",
        )
    return f"sold for {', '.join(str(amount) for amount in amounts)}"


def partial_capture(shop: Shop) -> str:
    """A final capture releases the rest of the authorization."""
    intent = shop.create(shop.order("partial-capture"), 8_000, "USD", manual=True)
    _expect_status(intent, "requires_capture")
    intent = shop.capture(intent, 6_500)
    _expect_status(intent, "succeeded")
    expect(intent.amount_capturable == 0, "the rest is still held after a final capture")
    return "authorized 80.00 USD, captured 65.00, released the rest"


def several_captures(shop: Shop) -> str:
    """Two parcels, two captures."""
    intent = shop.create(shop.order("two-parcels"), 9_000, "EUR", manual=True)
    intent = shop.capture(intent, 4_000, final=False)
    _expect_status(intent, "requires_capture")
    expect(intent.amount_capturable == 5_000, f"{intent.amount_capturable} is left to capture")
    intent = shop.capture(intent, 5_000)
    _expect_status(intent, "succeeded")
    expect(intent.amount_received == 9_000, f"{intent.amount_received} was received of 9000")
    return "authorized 90.00 EUR, captured 40.00 with the first parcel and 50.00 with the second"


def raised_authorization(shop: Shop) -> str:
    """The guest stays another night: an incremental authorization."""
    intent = shop.create(shop.order("one-night-more"), 10_000, "USD", manual=True)
    intent = shop.client.v1.payment_intents.increment_authorization(
        intent.id,
        params={"amount": 14_000},
        options={"idempotency_key": f"{shop.day}-{intent.id}-increment"},
    )
    _expect_status(intent, "requires_capture")
    expect(intent.amount_capturable == 14_000, f"{intent.amount_capturable} is held, not 14000")
    _expect_status(shop.capture(intent, 14_000), "succeeded")
    return "authorized 100.00 USD, incremented to 140.00, captured all of it"


def canceled(shop: Shop) -> str:
    """Canceled before anything was captured."""
    order_id = shop.order("canceled")
    intent = shop.create(order_id, 5_500, "USD", manual=True, should_be="canceled")
    intent = shop.client.v1.payment_intents.cancel(
        intent.id,
        params={"cancellation_reason": "requested_by_customer"},
        options={"idempotency_key": f"{order_id}-cancel"},
    )
    _expect_status(intent, "canceled")
    return "authorized 55.00 USD and released it when the customer canceled"


def declined_then_paid(shop: Shop) -> str:
    """A decline, then the same payment with another card."""
    intent = shop.create(shop.order("second-card"), 3_100, "USD", confirm=False)
    reason = ""
    try:
        shop.confirm(intent, "pm_card_visa_chargeDeclinedInsufficientFunds", attempt=1)
    except stripe.CardError as error:
        reason = str(error.error.decline_code) if error.error else ""
    expect(reason == "insufficient_funds", f"the decline said {reason or 'nothing'}")
    _expect_status(shop.retrieve(intent.id), "requires_payment_method")
    _expect_status(shop.confirm(intent, "pm_card_mastercard", attempt=2), "succeeded")
    return "a card was declined (insufficient_funds), the customer's second card paid 31.00 USD"


def challenged(shop: Shop) -> str:
    """3-D Secure: to the bank, through our return page, back to the shop."""
    intent = shop.create(
        shop.order("bank-asks"), 12_000, "EUR", method="pm_card_threeDSecure2Required"
    )
    _expect_status(intent, "requires_action")
    action = intent.next_action
    expect(action is not None and action.redirect_to_url, "next_action has no URL for the customer")
    back = shop.psp.complete_challenge(str(action.redirect_to_url.url))
    page = visit("GET", back)
    expect(
        page.location.startswith(RETURN_URL),
        f"the return page answered {page.status} and sent the customer to {page.location!r}",
    )
    _expect_status(shop.wait_for(intent.id), "succeeded")
    return "the bank required a challenge, the customer passed it, 120.00 EUR was paid"


def bank_debit(shop: Shop) -> str:
    """Stays processing until the bank confirms."""
    intent = shop.create(shop.order("bank-debit"), 7_700, "USD", method="pm_bankDebit_success")
    _expect_status(intent, "processing")
    return "a bank debit of 77.00 USD is processing until the bank confirms"


def lost_answer(shop: Shop) -> str:
    """The PSP charges, but its answer is lost: the outcome is unknown, not failed."""
    order_id = shop.order("lost-answer")
    shop.psp.lose_the_answer(order_id)
    intent = shop.create(order_id, 6_600, "USD")
    _expect_status(intent, "processing")
    kinds = [effect["kind"] for effect in shop.psp.effects(order_id)]
    expect(kinds == ["authorize", "capture"], f"at the PSP happened {kinds}")
    return "the PSP charged 66.00 USD and its answer was lost: the shop sees processing, not failed"


def outage_of_an_account(shop: Shop) -> str:
    """The PSP takes no charge at one account: the next account of the route takes it."""
    order_id = shop.order("other-account")
    shop.psp.take_no_charge(order_id)
    intent = shop.create(order_id, 4_700, "USD")
    _expect_status(intent, "succeeded")
    charges = shop.client.v1.charges.list(params={"payment_intent": intent.id}).data
    told = [charge.status for charge in reversed(charges)]
    expect(told == ["failed", "succeeded"], f"the charges are {' and '.join(told)}")
    return "one PSP account took no charges: 47.00 USD went to the next one within the same request"


def refunds(shop: Shop) -> str:
    """Full, partial, and several partial refunds."""
    full = shop.create(shop.order("returned"), 2_000, "USD")
    expect(shop.refund(full).status == "succeeded", "the full refund did not succeed")
    part = shop.create(shop.order("one-came-back"), 5_000, "EUR")
    expect(shop.refund(part, 1_250).status == "succeeded", "the partial refund did not succeed")
    several = shop.create(shop.order("bit-by-bit"), 3_000, "JPY")
    for nth, amount_minor in enumerate((500, 1_000, None), start=1):
        refund = shop.refund(several, amount_minor, nth=nth)
        expect(refund.status == "succeeded", f"refund {nth} did not succeed")
    refused = ""
    try:
        shop.client.v1.refunds.create(
            params={"payment_intent": several.id, "amount": 1},
            options={"idempotency_key": f"{shop.day}-{several.id}-too-much"},
        )
    except stripe.InvalidRequestError as error:
        refused = str(error.code)
    expect(refused, "more was refunded than was paid")
    return f"refunded 20.00 USD, 12.50 of 50.00 EUR, 3000 JPY in three parts; one more: {refused}"


def pending_refund(shop: Shop) -> str:
    """A refund that stays pending for a while."""
    intent = shop.create(shop.order("slow-refund"), 4_400, "USD", method="pm_card_pendingRefund")
    refund = shop.refund(intent, 1_100)
    expect(refund.status == "pending", f"the refund is {refund.status}, not pending")
    return "a refund of 11.00 USD is pending"


def same_request_twice(shop: Shop) -> str:
    """A retry with the same Idempotency-Key gets the same answer, byte for byte."""
    order_id = shop.order("sent-twice")
    first = shop.create(order_id, 1_900, "USD", key=f"{order_id}-key")
    second = shop.create(order_id, 1_900, "USD", key=f"{order_id}-key")
    expect(first.id == second.id, "the repeat made a second payment")
    answers = [each.last_response for each in (first, second)]
    expect(
        all(answers) and answers[0].body == answers[1].body,
        "the repeat was answered differently",
    )
    charges = [each for each in shop.psp.effects(order_id) if each["kind"] == "authorize"]
    expect(len(charges) == 1, f"the PSP was charged {len(charges)} times")
    return "one request sent twice: the same answer, one charge of 19.00 USD"


def second_charge_refused(shop: Shop) -> str:
    """One order, one payment: the order guard names the first."""
    order_id = shop.order("paid-once")
    first = shop.create(order_id, 2_700, "USD")
    refused = ""
    try:
        shop.create(order_id, 2_700, "USD", key=f"{order_id}-again")
    except stripe.InvalidRequestError as error:
        refused = str(error)
    expect(refused, "the order was charged twice")
    expect(first.id in refused, f"the refusal does not name the holder: {refused}")
    return "a second charge for a paid order was refused, naming the first"


def _expect_status(intent: stripe.PaymentIntent, status: str) -> None:
    expect(intent.status == status, f"{intent.id} is {intent.status}, not {status}")


# Slow scenes come first, so that they have ended in the evening.
NORTHWIND: Final[tuple[Scene, ...]] = (
    bank_debit,
    lost_answer,
    outage_of_an_account,
    pending_refund,
    sales_in_four_currencies,
    partial_capture,
    several_captures,
    declined_then_paid,
    challenged,
    paid_on_the_page,
    same_request_twice,
    refund_over_the_limit,
    disputed_sales,
)
TAILSPIN: Final[tuple[Scene, ...]] = (
    sales_in_four_currencies,
    raised_authorization,
    canceled,
    refunds,
    second_charge_refused,
    unnotified_dispute,
)
