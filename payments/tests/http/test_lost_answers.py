"""The PSP's answer is lost: the payment is `processing`, never failed, until it is resolved."""

from __future__ import annotations

import pytest
import stripe

from payments.services.verification.rebuild import differences
from payments.tests.http.support.storefront import Storefront, Tables, new_order

INTENTS = "/v1/payment_intents"
ONCE = [("authorize", 10_000), ("capture", 10_000)]
HAPPENED = ("drop_after", "error_after", "truncate", "contradict")
NOT_HAPPENED = ("drop_before", "error_before", "down")


@pytest.mark.matrix(most=4)
@pytest.mark.parametrize("fault", [*HAPPENED, *NOT_HAPPENED])
def test_a_charge_of_unknown_outcome_is_processing_and_then_paid_once(
    storefront: Storefront, fault: str
) -> None:
    storefront.psp.script({fault: 1}, order_id=storefront.order_id)
    intents, key = storefront.stripe.v1.payment_intents, new_order()

    lost = intents.create(storefront.order(), {"idempotency_key": key})
    assert lost.status == "processing"
    # The order cannot be charged a second time while this charge is unknown.
    with pytest.raises(stripe.InvalidRequestError) as refused:
        intents.create(storefront.order())
    assert refused.value.code == "order_already_has_payment"
    for command in (intents.confirm, intents.capture, intents.cancel):
        with pytest.raises(stripe.RateLimitError):
            command(lost.id)

    storefront.settle()

    assert intents.retrieve(lost.id).status == "succeeded"
    assert intents.create(storefront.order(), {"idempotency_key": key}).status == "processing"
    assert storefront.effects() == ONCE
    assert list(differences()) == []


@pytest.mark.parametrize("fault", ["drop_after", "drop_before"])
def test_a_refund_of_unknown_outcome_keeps_its_amount_reserved(
    storefront: Storefront, fault: str
) -> None:
    paid, refunds = storefront.pay(), storefront.stripe.v1.refunds
    storefront.psp.script({fault: 1}, order_id=storefront.order_id, kind="refund")

    lost = refunds.create({"payment_intent": paid.id, "amount": 6_000})
    assert lost.status == "pending"
    with pytest.raises(stripe.InvalidRequestError) as refused:
        refunds.create({"payment_intent": paid.id, "amount": 6_000})
    assert (refused.value.code, refused.value.param) == ("amount_too_large", "amount")

    storefront.settle()

    assert refunds.retrieve(lost.id).status == "succeeded"
    assert storefront.effects() == [*ONCE, ("refund", 6_000)]
    assert list(differences()) == []


@pytest.mark.parametrize("fault", ["drop_after", "drop_before"])
def test_a_capture_of_unknown_outcome_happens_once(storefront: Storefront, fault: str) -> None:
    held, intents = storefront.pay(capture_method="manual"), storefront.stripe.v1.payment_intents
    storefront.psp.script({fault: 1}, order_id=storefront.order_id, kind="capture")

    lost = intents.capture(held.id, {"amount_to_capture": 6_000})
    assert (lost.status, lost.amount_received) == ("processing", 0)
    storefront.settle()

    assert intents.retrieve(held.id).amount_received == 6_000
    assert storefront.effects() == [("authorize", 10_000), ("capture", 6_000)]
    assert list(differences()) == []


def test_a_token_look_up_that_the_psp_does_not_answer_is_a_503(
    storefront: Storefront, tables: Tables
) -> None:
    # A token that no other test uses: descriptions of tokens are cached.
    token, key = "pm_card_amex_threeDSecureNotSupported", new_order()
    storefront.psp.script({"down": 1}, path=f"/v1/tokens/{token}", times=None)
    order = storefront.order(payment_method=token)
    before = tables.rows()

    refused = storefront.wire.post(INTENTS, order, key=key)

    assert refused.refusal[:2] == (503, "service_unavailable")
    assert refused.headers["stripe-should-retry"] == "true"
    assert tables.rows() == before
    storefront.psp.heal()
    assert storefront.wire.post(INTENTS, order, key=key).json["status"] == "succeeded"
    assert storefront.effects() == ONCE
