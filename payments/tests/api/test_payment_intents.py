"""Payments through the merchant API: statuses, envelopes, headers, against the sandbox PSP."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from payments.models import IdempotencyKey, Operation, PaymentIntent, PaymentMethod
from payments.tests.support.api_client import ApiClient, api_of
from payments.tests.support.passing_time import sweep
from payments.tests.support.shop import Shop


@pytest.fixture
def api(shop: Shop) -> ApiClient:
    return api_of(shop)


def test_a_sale_succeeds_and_shows_its_charge(shop: Shop, api: ApiClient) -> None:
    intent = api.pay(
        metadata={"order_id": shop.order_id}, expand=["latest_charge.balance_transaction"]
    )
    assert (intent["status"], intent["amount_received"]) == ("succeeded", 10_000)
    charge = intent["latest_charge"]
    assert (charge["status"], charge["captured"], charge["paid"]) == ("succeeded", True, True)
    assert charge["payment_method_details"]["card"]["last4"] == "4242"
    assert charge["balance_transaction"]["net"] == 10_000
    assert [e["kind"] for e in shop.effects()] == ["authorize", "capture"]


def test_every_answer_carries_the_headers_sdks_read(api: ApiClient) -> None:
    reply = api.post(
        "/v1/payment_intents",
        key="key-1",
        headers={"Stripe-Version": "2022-11-15"},
        amount=500,
        currency="eur",
    )
    assert reply.status == 200
    assert str(reply.header("Request-Id")).startswith("req_")
    assert reply.header("Stripe-Version") == "2022-11-15"
    assert reply.header("Idempotency-Key") == "key-1"
    assert reply.header("Content-Type") == "application/json"
    assert reply.header("Cache-Control") == "no-store"


def test_authorize_capture_and_refund(shop: Shop, api: ApiClient) -> None:
    intent = api.pay(capture_method="manual")
    assert (intent["status"], intent["amount_capturable"]) == ("requires_capture", 10_000)

    captured = api.post(f"/v1/payment_intents/{intent['id']}/capture", amount_to_capture=6_000)
    assert (captured.body["status"], captured.body["amount_received"]) == ("succeeded", 6_000)

    refund = api.post("/v1/refunds", payment_intent=intent["id"], amount=1_000)
    assert (refund.body["status"], refund.body["charge"]) == ("succeeded", intent["latest_charge"])

    charge = api.get(f"/v1/charges/{intent['latest_charge']}", expand=["refunds"]).body
    assert (charge["amount_refunded"], charge["refunded"]) == (1_000, False)
    assert [r["id"] for r in charge["refunds"]["data"]] == [refund.body["id"]]

    rest = api.post("/v1/refunds", charge=charge["id"])
    assert rest.body["amount"] == 5_000
    assert api.get(f"/v1/charges/{charge['id']}").body["refunded"] is True


def test_canceling_releases_and_shows_the_charge_as_refunded(api: ApiClient) -> None:
    intent = api.pay(capture_method="manual")
    canceled = api.post(
        f"/v1/payment_intents/{intent['id']}/cancel", cancellation_reason="duplicate"
    ).body
    assert (canceled["status"], canceled["cancellation_reason"]) == ("canceled", "duplicate")
    charge = api.get(f"/v1/charges/{intent['latest_charge']}").body
    assert (charge["captured"], charge["refunded"], charge["amount_refunded"]) == (
        False,
        True,
        10_000,
    )


def test_an_increment_raises_the_amount(api: ApiClient) -> None:
    intent = api.pay(capture_method="manual")
    raised = api.post(f"/v1/payment_intents/{intent['id']}/increment_authorization", amount=12_000)
    assert raised.body["amount_capturable"] == 12_000
    assert api.get(f"/v1/charges/{intent['latest_charge']}").body["amount"] == 12_000


def test_a_decline_is_a_402_with_the_intent_and_can_be_tried_again(api: ApiClient) -> None:
    declined = api.post(
        "/v1/payment_intents",
        amount=2_000,
        currency="usd",
        confirm=True,
        payment_method="pm_card_visa_chargeDeclinedInsufficientFunds",
    )
    assert declined.status == 402
    error = declined.error
    assert (error["type"], error["code"], error["decline_code"]) == (
        "card_error",
        "card_declined",
        "insufficient_funds",
    )
    intent = error["payment_intent"]
    assert intent["status"] == "requires_payment_method"
    assert error["charge"] == intent["latest_charge"]
    assert error["payment_method"]["card"]["last4"] == "9995"
    assert intent["last_payment_error"]["decline_code"] == "insufficient_funds"

    paid = api.post(f"/v1/payment_intents/{intent['id']}/confirm", payment_method="pm_card_visa")
    assert paid.body["status"] == "succeeded"
    charges = api.get("/v1/charges", payment_intent=intent["id"]).body["data"]
    assert [c["status"] for c in charges] == ["succeeded", "failed"]
    assert charges[1]["outcome"]["reason"] == "insufficient_funds"


def test_a_repeat_gets_the_first_answer_byte_for_byte(shop: Shop, api: ApiClient) -> None:
    first = api.post(
        "/v1/payment_intents",
        key="once",
        amount=900,
        currency="usd",
        confirm=True,
        payment_method="pm_card_visa",
    )
    again = api.post_json(
        "/v1/payment_intents",
        {"payment_method": "pm_card_visa", "confirm": True, "currency": "usd", "amount": 900},
        key='"once"',
    )
    assert again.response.content == first.response.content
    assert again.header("Idempotent-Replayed") == "true"
    assert first.header("Idempotent-Replayed") is None
    assert Operation.objects.count() == 1


def test_a_key_with_other_parameters_is_an_idempotency_error(api: ApiClient) -> None:
    api.post("/v1/payment_intents", key="once", amount=900, currency="usd")
    reply = api.post("/v1/payment_intents", key="once", amount=901, currency="usd")
    assert (reply.status, reply.error["type"]) == (400, "idempotency_error")
    assert PaymentIntent.objects.count() == 1


def test_a_refused_request_stores_nothing(api: ApiClient) -> None:
    reply = api.post("/v1/payment_intents", key="k", amount=900, currency="usd", amuont=3)
    assert (reply.status, reply.error["code"]) == (400, "parameter_unknown")
    assert IdempotencyKey.objects.count() == PaymentIntent.objects.count() == 0
    assert api.post("/v1/payment_intents", key="k", amount=900, currency="usd").status == 200


def test_a_state_refusal_shows_the_intent(api: ApiClient) -> None:
    intent = api.pay()
    reply = api.post(f"/v1/payment_intents/{intent['id']}/capture")
    assert (reply.status, reply.error["code"]) == (400, "payment_intent_unexpected_state")
    assert reply.error["payment_intent"]["id"] == intent["id"]


def test_moving_money_needs_an_idempotency_key(shop: Shop, api: ApiClient) -> None:
    intent = api.pay(capture_method="manual")
    refused = [
        api.post("/v1/payment_intents", key=None, amount=900, currency="usd"),
        api.post(f"/v1/payment_intents/{intent['id']}/confirm", key=None),
        api.post(f"/v1/payment_intents/{intent['id']}/capture", key=None),
        api.post(f"/v1/payment_intents/{intent['id']}/cancel", key=None),
        api.post(f"/v1/payment_intents/{intent['id']}/increment_authorization", key=None, amount=1),
        api.post("/v1/refunds", key=None, payment_intent=intent["id"]),
    ]
    assert {r.status for r in refused} == {400}
    assert {r.error["code"] for r in refused} == {"idempotency_key_required"}
    assert PaymentIntent.objects.count() == Operation.objects.count() == 1

    words = api.post(f"/v1/payment_intents/{intent['id']}", key=None, description="x")
    assert words.body["description"] == "x"


def test_a_merchant_may_do_without_keys(shop: Shop, api: ApiClient) -> None:
    shop.merchant.idempotency_key_required = False
    shop.merchant.save()
    assert api.post("/v1/payment_intents", key=None, amount=900, currency="usd").status == 200


def test_an_update_changes_the_amount_that_will_be_charged(api: ApiClient) -> None:
    intent = api.post("/v1/payment_intents", amount=900, currency="usd").body
    assert intent["status"] == "requires_payment_method"
    changed = api.post(
        f"/v1/payment_intents/{intent['id']}",
        amount=1_000,
        payment_method="pm_card_visa",
        metadata={"a": "1"},
    ).body
    assert (changed["status"], changed["amount"]) == ("requires_confirmation", 1_000)
    assert changed["metadata"] == {"a": "1"}


def test_a_challenge_sends_the_customer_away_and_back(shop: Shop, api: ApiClient) -> None:
    intent = api.pay(
        payment_method="pm_card_threeDSecure2Required",
        return_url="https://shop.example/thanks?cart=7#end",
    )
    assert intent["status"] == "requires_action"
    action = intent["next_action"]
    assert action["type"] == "redirect_to_url"
    assert action["redirect_to_url"]["return_url"] == "https://shop.example/thanks?cart=7#end"
    operation = Operation.objects.get()
    back = urlsplit(operation.return_url)

    wrong = api.client.get(back.path, {"token": "0" * 40})
    assert wrong.status_code == 404
    early = api.client.get(f"{back.path}?{back.query}")
    assert early.status_code == 302
    target = urlsplit(early["Location"])
    assert (target.scheme, target.netloc, target.path) == ("https", "shop.example", "/thanks")
    assert target.fragment == "end"
    params = parse_qs(target.query)
    assert params["cart"] == ["7"]
    assert params["payment_intent"] == [intent["id"]]
    assert params["payment_intent_client_secret"] == [intent["client_secret"]]
    assert params["redirect_status"] == ["pending"]


@pytest.mark.parametrize(("fail", "expected"), [(False, "succeeded"), (True, "failed")])
def test_the_return_page_passes_the_result_of_the_challenge_to_the_merchant(
    shop: Shop, api: ApiClient, fail: bool, expected: str
) -> None:
    intent = api.pay(
        payment_method="pm_card_threeDSecure2Required", return_url="https://shop.example/"
    )
    shop.psp.complete_challenge(intent["next_action"]["redirect_to_url"]["url"], fail=fail)
    back = urlsplit(Operation.objects.get().return_url)
    target = urlsplit(api.client.get(f"{back.path}?{back.query}")["Location"])
    assert parse_qs(target.query)["redirect_status"] == [expected]
    shown = api.get(f"/v1/payment_intents/{intent['id']}").body
    assert shown["status"] == ("requires_payment_method" if fail else "succeeded")


def test_the_merchants_address_comes_back_byte_for_byte(shop: Shop, api: ApiClient) -> None:
    given = "https://shop.example/back;v=1?a=%7E&b&c=1+2&d=%20x&a=2#top?x"
    intent = api.pay(payment_method="pm_card_threeDSecure2Required", return_url=given)
    back = urlsplit(Operation.objects.get().return_url)
    location = api.client.get(f"{back.path}?{back.query}")["Location"]
    before, sign, after = given.partition("#")
    assert location.startswith(f"{before}&payment_intent={intent['id']}&")
    assert location.endswith(f"{sign}{after}")


def test_the_return_page_has_an_end_of_its_own_without_an_address(api: ApiClient) -> None:
    api.pay(payment_method="pm_card_threeDSecure2Required")
    back = urlsplit(Operation.objects.get().return_url)
    page = api.client.get(f"{back.path}?{back.query}&return_url=https://evil.example")
    assert page.status_code == 200
    assert b"being processed" in page.content
    assert page["Cache-Control"] == "no-store"


def test_off_session_payments_cannot_be_challenged(api: ApiClient) -> None:
    reply = api.post(
        "/v1/payment_intents",
        amount=900,
        currency="usd",
        confirm=True,
        off_session=True,
        payment_method="pm_card_authenticationRequired",
    )
    assert (reply.status, reply.error["code"]) == (402, "authentication_required")


def test_an_unknown_expansion_is_refused_before_anything_is_written(api: ApiClient) -> None:
    reply = api.post("/v1/payment_intents", amount=900, currency="usd", expand=["invoice"])
    assert reply.status == 400
    assert PaymentIntent.objects.count() == IdempotencyKey.objects.count() == 0


def test_an_unknown_method_names_the_parameter_and_writes_nothing(api: ApiClient) -> None:
    reply = api.post(
        "/v1/payment_intents", amount=900, currency="usd", payment_method="pm_card_nonsense"
    )
    assert (reply.status, reply.error["code"], reply.error["param"]) == (
        400,
        "resource_missing",
        "payment_method",
    )
    assert PaymentIntent.objects.count() == PaymentMethod.objects.count() == 0


def test_a_psp_that_hangs_leaves_the_payment_processing_within_the_wait_budget(
    shop: Shop, api: ApiClient
) -> None:
    api.pay()  # the token has been described
    shop.psp.set_behavior(hang=1.0)
    reply = api.post(
        "/v1/payment_intents",
        headers={"Prefer": "wait=0.2"},
        amount=900,
        currency="usd",
        confirm=True,
        payment_method="pm_card_visa",
    )
    shop.psp.heal()
    assert (reply.status, reply.body["status"]) == (200, "processing")


@pytest.mark.parametrize("wait", ["31", "-1", "soon", "1e1", "0x1"])
def test_an_invalid_wait_preference_is_refused(api: ApiClient, wait: str) -> None:
    reply = api.post(
        "/v1/payment_intents", headers={"Prefer": f"wait={wait}"}, amount=900, currency="usd"
    )
    assert (reply.status, reply.error["code"]) == (400, "header_invalid")
    assert PaymentIntent.objects.count() == 0


def test_another_merchants_payment_is_as_missing_as_an_unknown_one(
    shop: Shop, other_shop: Shop, api: ApiClient
) -> None:
    foreign = api_of(other_shop).pay(capture_method="manual")
    unknown = "pi_" + "A" * 22
    for path in ("", "/capture", "/cancel", "/confirm"):
        replies = [api.post(f"/v1/payment_intents/{i}{path}") for i in (foreign["id"], unknown)]
        assert {r.status for r in replies} == {404}
        messages = {r.error["message"].replace(foreign["id"], unknown) for r in replies}
        assert messages == {f"No such payment_intent: '{unknown}'"}
    assert api.get(f"/v1/payment_intents/{foreign['id']}").status == 404
    assert api.get("/v1/payment_intents/4242424242424242").error["code"] == "card_data_not_allowed"
    assert api.get(f"/v1/charges/{foreign['latest_charge']}").status == 404
    assert api.get("/v1/payment_intents").body["data"] == []


@pytest.mark.parametrize(
    ("verb", "params"),
    [("capture", {}), ("cancel", {}), ("increment_authorization", {"amount": 12_000})],
)
def test_a_change_after_the_expiry_is_no_decline_of_the_card(
    shop: Shop, api: ApiClient, verb: str, params: dict[str, int]
) -> None:
    intent = api.pay(capture_method="manual", payment_method="pm_card_authorizationExpiresNow")
    shop.psp.advance(3)
    refused = api.post(f"/v1/payment_intents/{intent['id']}/{verb}", **params)
    assert (refused.status, refused.error["code"]) == (400, "charge_expired_for_capture")


def test_a_capture_after_the_expiry_is_400_whether_or_not_it_was_recorded(
    shop: Shop, api: ApiClient
) -> None:
    intent = api.pay(capture_method="manual", payment_method="pm_card_authorizationExpiresNow")
    path = f"/v1/payment_intents/{intent['id']}/capture"
    shop.psp.advance(3)
    told_by_the_psp = api.post(path, key="late")
    assert told_by_the_psp.status == 400
    assert told_by_the_psp.error["code"] == "charge_expired_for_capture"
    assert told_by_the_psp.error["type"] == "invalid_request_error"

    sweep()
    known_to_us = api.post(path)
    assert (known_to_us.status, known_to_us.error["code"]) == (400, "charge_expired_for_capture")
    assert known_to_us.error["payment_intent"]["cancellation_reason"] == "expired"
    assert api.post(path, key="late").body == told_by_the_psp.body
    charge = api.get(f"/v1/charges/{intent['latest_charge']}").body
    assert (charge["captured"], charge["refunded"]) == (False, True)
    assert [e["type"] for e in api.get("/v1/events", type="charge.expired").body["data"]] == [
        "charge.expired"
    ]
