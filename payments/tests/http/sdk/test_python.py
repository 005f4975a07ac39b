"""The life of a payment through the official Python SDK, against real processes."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from payments.tests.http.support.storefront import Storefront, new_order

RETURN_URL = "https://shop.example.com/thanks"
ACCEPTED: Any = {
    "customer_acceptance": {
        "type": "online",
        "online": {"ip_address": "203.0.113.7", "user_agent": "Mozilla/5.0"},
    }
}


def test_a_payment_is_created_confirmed_and_captured_in_one_call(storefront: Storefront) -> None:
    paid = storefront.stripe.v1.payment_intents.create(storefront.order())

    assert (paid.status, paid.amount, paid.amount_received) == ("succeeded", 10_000, 10_000)
    assert paid.livemode is False
    assert paid.id.startswith("pi_")
    assert str(paid.latest_charge).startswith("ch_")
    assert storefront.stripe.v1.payment_intents.retrieve(paid.id).to_dict() == paid.to_dict()
    assert storefront.effects() == [("authorize", 10_000), ("capture", 10_000)]


def test_a_payment_grows_step_by_step_until_it_is_confirmed(storefront: Storefront) -> None:
    intents = storefront.stripe.v1.payment_intents
    created = intents.create(storefront.order(payment_method=None, confirm=None))
    assert created.status == "requires_payment_method"

    updated = intents.update(
        created.id,
        {"amount": 12_345, "payment_method": "pm_card_mastercard", "description": "Two books"},
    )
    assert (updated.status, updated.amount) == ("requires_confirmation", 12_345)
    assert updated.description == "Two books"
    assert storefront.effects() == []

    paid = intents.confirm(created.id)
    assert (paid.status, paid.amount_received) == ("succeeded", 12_345)
    assert storefront.effects() == [("authorize", 12_345), ("capture", 12_345)]


def test_a_held_amount_is_captured_in_full(storefront: Storefront) -> None:
    held = storefront.pay(capture_method="manual")
    assert (held.status, held.amount_capturable) == ("requires_capture", 10_000)

    captured = storefront.stripe.v1.payment_intents.capture(held.id)

    assert (captured.status, captured.amount_received) == ("succeeded", 10_000)
    assert captured.amount_capturable == 0
    assert storefront.effects() == [("authorize", 10_000), ("capture", 10_000)]


def test_a_partial_capture_releases_the_rest(storefront: Storefront) -> None:
    held = storefront.pay(capture_method="manual")

    captured = storefront.stripe.v1.payment_intents.capture(held.id, {"amount_to_capture": 4_000})

    assert (captured.status, captured.amount_received) == ("succeeded", 4_000)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        storefront.stripe.v1.payment_intents.capture(held.id)
    assert refused.value.code == "payment_intent_unexpected_state"
    assert storefront.effects() == [("authorize", 10_000), ("capture", 4_000)]


def test_several_captures_take_parts_until_the_final_one(storefront: Storefront) -> None:
    intents = storefront.stripe.v1.payment_intents
    held = storefront.pay(capture_method="manual")

    first = intents.capture(held.id, {"amount_to_capture": 3_000, "final_capture": False})
    second = intents.capture(held.id, {"amount_to_capture": 2_000, "final_capture": False})
    last = intents.capture(held.id, {"amount_to_capture": 1_000})

    assert (first.status, first.amount_capturable) == ("requires_capture", 7_000)
    assert (second.status, second.amount_received) == ("requires_capture", 5_000)
    assert (last.status, last.amount_received, last.amount_capturable) == ("succeeded", 6_000, 0)
    assert storefront.effects() == [
        ("authorize", 10_000),
        ("capture", 3_000),
        ("capture", 2_000),
        ("capture", 1_000),
    ]


def test_an_authorization_grows_and_is_captured(storefront: Storefront) -> None:
    intents = storefront.stripe.v1.payment_intents
    held = storefront.pay(capture_method="manual")

    raised = intents.increment_authorization(held.id, {"amount": 15_000})
    assert (raised.status, raised.amount, raised.amount_capturable) == (
        "requires_capture",
        15_000,
        15_000,
    )

    assert intents.capture(held.id).amount_received == 15_000
    assert storefront.effects() == [
        ("authorize", 10_000),
        ("increment", 5_000),
        ("capture", 15_000),
    ]


def test_an_authorization_grows_ten_times_at_most_declines_included(
    storefront: Storefront,
) -> None:
    intents = storefront.stripe.v1.payment_intents
    held = storefront.pay(capture_method="manual")
    decline = {"code": "card_declined", "decline_code": "insufficient_funds", "message": "No."}
    storefront.psp.script({"decline": decline}, order_id=storefront.order_id, kind="increment")
    with pytest.raises(stripe.CardError) as declined:
        intents.increment_authorization(held.id, {"amount": 10_001})
    assert declined.value.code == "card_declined"
    assert intents.retrieve(held.id).amount_capturable == 10_000

    for step in range(1, 10):
        intents.increment_authorization(held.id, {"amount": 10_000 + step})
    with pytest.raises(stripe.InvalidRequestError):
        intents.increment_authorization(held.id, {"amount": 20_000})

    assert intents.capture(held.id).amount_received == 10_009
    assert storefront.effects() == [
        ("authorize", 10_000),
        *[("increment", 1)] * 9,
        ("capture", 10_009),
    ]


def test_an_uncharged_payment_is_canceled_without_the_psp(storefront: Storefront) -> None:
    created = storefront.stripe.v1.payment_intents.create(storefront.order(confirm=None))

    canceled = storefront.stripe.v1.payment_intents.cancel(
        created.id, {"cancellation_reason": "duplicate"}
    )

    assert (canceled.status, canceled.cancellation_reason) == ("canceled", "duplicate")
    assert canceled.canceled_at
    assert storefront.effects() == []


def test_canceling_an_authorized_payment_releases_the_hold(storefront: Storefront) -> None:
    held = storefront.pay(capture_method="manual")

    canceled = storefront.stripe.v1.payment_intents.cancel(held.id)

    assert (canceled.status, canceled.amount_received) == ("canceled", 0)
    assert storefront.effects() == [("authorize", 10_000), ("void", 10_000)]


def test_a_full_refund_of_the_charge_sends_everything_back(storefront: Storefront) -> None:
    paid = storefront.pay()

    refund = storefront.stripe.v1.refunds.create(
        {"charge": str(paid.latest_charge), "reason": "requested_by_customer"}
    )

    assert (refund.status, refund.amount) == ("succeeded", 10_000)
    assert refund.reason == "requested_by_customer"
    charge = storefront.stripe.v1.charges.retrieve(str(paid.latest_charge))
    assert (charge.refunded, charge.amount_refunded) == (True, 10_000)
    assert storefront.stripe.v1.payment_intents.retrieve(paid.id).status == "succeeded"
    assert storefront.effects()[-1] == ("refund", 10_000)


def test_partial_refunds_add_up_and_the_last_refunds_the_rest(storefront: Storefront) -> None:
    refunds = storefront.stripe.v1.refunds
    paid = storefront.pay()

    amounts = [
        refunds.create({"payment_intent": paid.id, "amount": 2_500}).amount,
        refunds.create({"payment_intent": paid.id, "amount": 2_500}).amount,
        refunds.create({"payment_intent": paid.id}).amount,
    ]

    assert amounts == [2_500, 2_500, 5_000]
    listed = refunds.list({"payment_intent": paid.id})
    assert sorted(refund.amount for refund in listed.data) == [2_500, 2_500, 5_000]
    assert storefront.effects()[2:] == [("refund", 2_500), ("refund", 2_500), ("refund", 5_000)]


def test_a_refund_keeps_the_merchants_reason_and_metadata(storefront: Storefront) -> None:
    paid = storefront.pay()
    refund = storefront.stripe.v1.refunds.create(
        {"payment_intent": paid.id, "amount": 100, "metadata": {"ticket": "17", "by": "Ann"}}
    )

    storefront.stripe.v1.refunds.update(refund.id, {"metadata": {"ticket": "18", "by": ""}})

    kept = storefront.stripe.v1.refunds.retrieve(refund.id).metadata
    assert kept is not None
    assert kept.to_dict() == {"ticket": "18"}


def test_a_challenge_is_answered_and_the_customer_comes_back(storefront: Storefront) -> None:
    waiting = storefront.pay(payment_method="pm_card_threeDSecure2Required", return_url=RETURN_URL)
    assert waiting.status == "requires_action"
    assert waiting.next_action is not None
    redirect = waiting.next_action.redirect_to_url
    assert redirect is not None
    assert redirect.return_url == RETURN_URL
    assert storefront.effects() == []

    location = answer_challenge(storefront, str(redirect.url))

    assert location.startswith(f"{RETURN_URL}?")
    assert f"payment_intent={waiting.id}" in location
    paid = storefront.stripe.v1.payment_intents.retrieve(waiting.id)
    assert (paid.status, paid.next_action) == ("succeeded", None)
    assert storefront.effects() == [("authorize", 10_000), ("capture", 10_000)]


def test_a_failed_challenge_leaves_the_payment_open_for_another_method(
    storefront: Storefront,
) -> None:
    waiting = storefront.pay(payment_method="pm_card_threeDSecure2Required", return_url=RETURN_URL)
    assert waiting.next_action is not None
    assert waiting.next_action.redirect_to_url is not None

    answer_challenge(storefront, str(waiting.next_action.redirect_to_url.url), fail=True)

    failed = storefront.stripe.v1.payment_intents.retrieve(waiting.id)
    assert failed.status == "requires_payment_method"
    assert failed.last_payment_error is not None
    paid = storefront.stripe.v1.payment_intents.confirm(
        waiting.id, {"payment_method": "pm_card_visa"}
    )
    assert paid.status == "succeeded"
    assert storefront.effects() == [("authorize", 10_000), ("capture", 10_000)]


def test_a_payment_that_waits_for_its_customer_is_canceled(storefront: Storefront) -> None:
    intents = storefront.stripe.v1.payment_intents
    waiting = storefront.pay(payment_method="pm_card_threeDSecure2Required", return_url=RETURN_URL)
    for command in (intents.confirm, intents.capture):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            command(waiting.id)
        assert refused.value.code == "payment_intent_unexpected_state"

    canceled = intents.cancel(waiting.id, {"cancellation_reason": "abandoned"})

    assert (canceled.status, canceled.next_action) == ("canceled", None)
    assert waiting.next_action is not None
    assert waiting.next_action.redirect_to_url is not None
    storefront.settle()
    assert intents.retrieve(waiting.id).status == "canceled"
    assert [kind for kind, _ in storefront.effects()] in ([], ["void"])


def test_a_pending_refund_succeeds_when_the_psp_says_so(storefront: Storefront) -> None:
    paid = storefront.pay(payment_method="pm_card_pendingRefund")
    refund = storefront.stripe.v1.refunds.create({"payment_intent": paid.id})
    assert (refund.status, refund.pending_reason) == ("pending", "processing")

    storefront.psp.advance(10)
    storefront.settle()

    assert storefront.stripe.v1.refunds.retrieve(refund.id).status == "succeeded"
    charge = storefront.stripe.v1.charges.retrieve(str(paid.latest_charge))
    assert (charge.amount_refunded, charge.refunded) == (10_000, True)


def test_a_bank_debit_is_processing_until_the_bank_has_paid(storefront: Storefront) -> None:
    begun = storefront.pay(
        payment_method="pm_sepaDebit_success", currency="eur", mandate_data=ACCEPTED
    )
    assert begun.status == "processing"
    assert storefront.effects() == []

    storefront.psp.advance(10)
    storefront.settle()

    assert storefront.stripe.v1.payment_intents.retrieve(begun.id).status == "succeeded"
    assert storefront.effects() == [("authorize", 10_000), ("capture", 10_000)]


def test_an_account_is_kept_with_a_mandate_and_debited_later(storefront: Storefront) -> None:
    client = storefront.stripe.v1
    customer = client.customers.create({"name": "Ada"})
    setup = client.setup_intents.create(
        {
            "customer": customer.id,
            "payment_method": "pm_sepaDebit_success",
            "confirm": True,
            "mandate_data": ACCEPTED,
        }
    )
    mandate = client.mandates.retrieve(str(setup.mandate))
    assert (mandate.status, mandate.type, mandate.payment_method) == (
        "active",
        "multi_use",
        setup.payment_method,
    )
    assert mandate.customer_acceptance.online is not None
    assert mandate.customer_acceptance.online.ip_address == "203.0.113.7"

    given = {"customer": customer.id, "payment_method": setup.payment_method, "currency": "eur"}
    begun = storefront.pay(**given, off_session=True)
    charge = client.charges.retrieve(str(begun.latest_charge))
    assert charge.payment_method_details is not None
    assert charge.payment_method_details.sepa_debit is not None
    assert charge.payment_method_details.sepa_debit.mandate == mandate.id
    storefront.psp.advance(10)
    storefront.settle()
    assert client.payment_intents.retrieve(begun.id).status == "succeeded"

    client.payment_methods.detach(str(setup.payment_method))
    assert client.mandates.retrieve(mandate.id).status == "inactive"


def test_a_bank_debit_that_fails_later_can_be_paid_by_card(storefront: Storefront) -> None:
    begun = storefront.pay(
        payment_method="pm_sepaDebit_fail", currency="eur", mandate_data=ACCEPTED
    )
    storefront.psp.advance(10)
    storefront.settle()

    failed = storefront.stripe.v1.payment_intents.retrieve(begun.id)
    assert failed.status == "requires_payment_method"
    paid = storefront.stripe.v1.payment_intents.confirm(
        begun.id, {"payment_method": "pm_card_visa"}
    )
    assert paid.status == "succeeded"


def test_a_declined_payment_succeeds_with_another_card(storefront: Storefront) -> None:
    with pytest.raises(stripe.CardError) as declined:
        storefront.pay(payment_method="pm_card_visa_chargeDeclinedInsufficientFunds")
    error = declined.value.error
    assert error is not None
    assert error.payment_intent is not None
    intent_id = error.payment_intent["id"]
    assert error.payment_intent["status"] == "requires_payment_method"

    paid = storefront.stripe.v1.payment_intents.confirm(
        intent_id, {"payment_method": "pm_card_mastercard"}
    )

    assert (paid.status, paid.last_payment_error) == ("succeeded", None)
    charges = storefront.stripe.v1.charges.list({"payment_intent": intent_id}).data
    assert [charge.status for charge in charges] == ["succeeded", "failed"]
    assert charges[1].failure_code == "card_declined"
    assert storefront.effects() == [("authorize", 10_000), ("capture", 10_000)]


@pytest.mark.parametrize(("currency", "amount"), [("jpy", 1_000), ("kwd", 1_230), ("eur", 50)])
def test_minor_units_reach_the_psp_unchanged(
    storefront: Storefront, currency: str, amount: int
) -> None:
    paid = storefront.pay(currency=currency, amount=amount)

    assert (paid.currency, paid.amount_received) == (currency, amount)
    captures = storefront.psp.effects(order_id=storefront.order_id, kind="capture")
    assert [(e["amount_minor"], e["currency"]) for e in captures] == [(amount, currency.upper())]


def test_one_order_is_not_paid_twice_and_the_refusal_names_the_payment(
    storefront: Storefront,
) -> None:
    paid = storefront.pay()

    with pytest.raises(stripe.InvalidRequestError) as refused:
        storefront.stripe.v1.payment_intents.create(storefront.order())

    assert refused.value.code == "order_already_has_payment"
    assert refused.value.param == "metadata[order_id]"
    assert paid.id in str(refused.value)
    assert storefront.effects() == [("authorize", 10_000), ("capture", 10_000)]


def test_a_repeat_with_the_same_key_gets_the_first_answer(storefront: Storefront) -> None:
    intents = storefront.stripe.v1.payment_intents
    key = new_order()

    first = intents.create(storefront.order(), {"idempotency_key": key})
    again = intents.create(storefront.order(), {"idempotency_key": key})

    assert again.to_dict() == first.to_dict()
    assert first.last_response is not None
    assert again.last_response is not None
    assert "Idempotent-Replayed" not in first.last_response.headers
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    assert storefront.effects() == [("authorize", 10_000), ("capture", 10_000)]


def answer_challenge(storefront: Storefront, url: str, *, fail: bool = False) -> str:
    """Answer as the customer does and follow the bank's redirect; where the merchant's page is."""
    answered = storefront.psp.complete_challenge(url, fail=fail)
    base_url, return_to = storefront.server.base_url, answered["return_to"]
    assert return_to.startswith(f"{base_url}/return/")
    reply = storefront.wire.send("GET", return_to.removeprefix(base_url))
    assert reply.status in (302, 303)
    return reply.headers["location"]
