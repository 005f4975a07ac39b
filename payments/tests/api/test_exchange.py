"""Headers and bodies of the merchant API, and what it refuses before any endpoint is called."""

from __future__ import annotations

from io import BytesIO

import pytest
from django.test import RequestFactory

from payments.api.parameters import Parameters
from payments.api.request_headers import idempotency_key_of
from payments.api.views.call import Call
from payments.api.views.exchange import MerchantView, endpoint
from payments.exceptions import IdempotencyKeyInvalid
from payments.models import Customer, IdempotencyKey, PaymentIntent
from payments.services.callers.caller import Answer
from payments.tests.support.api_client import ApiClient, Reply, api_of
from payments.tests.support.shop import Shop


@pytest.fixture
def api(shop: Shop) -> ApiClient:
    return api_of(shop)


def key_of(value: str) -> str:
    return idempotency_key_of(RequestFactory().post("/", headers={"Idempotency-Key": value}))


@pytest.mark.parametrize(
    ("sent", "key"),
    [
        ("abc", "abc"),
        ('"abc"', "abc"),
        ('"a\\"b\\\\c"', 'a"b\\c'),
        ('"a,b"', "a,b"),
        ("  abc  ", "abc"),
        ("a b", "a b"),
        ("x" * 255, "x" * 255),
        ("8e03978e-40d5-43e8-bc93-6894a57f9324", "8e03978e-40d5-43e8-bc93-6894a57f9324"),
    ],
)
def test_the_quoted_and_the_bare_form_are_the_same_key(sent: str, key: str) -> None:
    assert key_of(sent) == key


@pytest.mark.parametrize(
    "sent",
    [
        "",
        " ",
        '""',
        "x" * 256,
        "a\tb",
        "a\x7fb",
        "schlüssel",
        "a,b",
        "a, b",
        '"a","b"',
        '"a',
        "\x00",
    ],
)
def test_a_malformed_or_repeated_idempotency_key_is_refused(sent: str) -> None:
    with pytest.raises(IdempotencyKeyInvalid):
        key_of(sent)


@pytest.mark.parametrize(
    "key",
    [
        "4242424242424242",
        "order_4242 4242 4242 4242",
        "abc4242424242424242",
        "pay:378282246310005/a",
    ],
)
def test_a_key_that_could_hold_a_card_number_is_not_stored(api: ApiClient, key: str) -> None:
    reply = api.post("/v1/customers", key=key)
    assert (reply.status, reply.error["code"]) == (400, "idempotency_key_invalid")
    assert key not in reply.response.content.decode()
    assert IdempotencyKey.objects.count() == Customer.objects.count() == 0


@pytest.mark.parametrize("method", ["PUT", "PATCH", "OPTIONS", "DELETE", "TRACE", "BREW"])
def test_a_method_that_an_address_does_not_have_is_an_unrecognized_url(
    api: ApiClient, method: str
) -> None:
    reply = api.send(method, "/v1/payment_intents", "")
    assert reply.status == 404
    expected = f"Unrecognized request URL ({method}: /v1/payment_intents)"
    assert reply.error["message"].startswith(expected)
    assert str(reply.header("Request-Id")).startswith("req_")


@pytest.mark.parametrize(
    "path", ["/v1", "/v1/", "/v1/nothing", "/v1/payment_intents/", "/v1/payment_intents/pi_x/fly"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH"])
def test_an_unknown_address_answers_in_the_envelope(api: ApiClient, method: str, path: str) -> None:
    reply = api.send(method, path)
    assert (reply.status, reply.error["type"]) == (404, "invalid_request_error")
    assert f"({method}: {path})" in reply.error["message"]


@pytest.mark.parametrize("version", ["latest", "2026-10", "2026-10-28.Endive", "x" * 300, ""])
def test_a_malformed_version_is_refused(api: ApiClient, version: str) -> None:
    reply = api.post(
        "/v1/payment_intents", headers={"Stripe-Version": version}, amount=900, currency="usd"
    )
    assert (reply.status, reply.error["code"]) == (400, "api_version_invalid")
    assert reply.header("Stripe-Version") == "2026-10-28.endive"
    assert PaymentIntent.objects.count() == 0


def test_a_key_never_acts_for_another_account(shop: Shop, other_shop: Shop, api: ApiClient) -> None:
    for header in ("Stripe-Account", "Stripe-Context"):
        foreign = {header: other_shop.merchant.public_id}
        reply = api.post("/v1/payment_intents", headers=foreign, amount=900, currency="usd")
        assert (reply.status, reply.error["code"]) == (403, "account_invalid")
        assert PaymentIntent.objects.count() == 0
    own = {"Stripe-Account": shop.merchant.public_id}
    assert api.post("/v1/customers", headers=own).status == 200


def test_head_is_a_get_without_a_body_of_its_own(api: ApiClient) -> None:
    assert api.send("HEAD", "/v1/payment_intents").status == 200


def test_parameters_in_the_wrong_place_are_refused(api: ApiClient) -> None:
    in_query = api.post("/v1/payment_intents?amount=900", currency="usd")
    in_body = api.send("GET", "/v1/payment_intents", "limit=3")
    assert {in_query.status, in_body.status} == {400}
    assert in_query.error["code"] == in_body.error["code"] == "parameters_misplaced"
    assert PaymentIntent.objects.count() == 0


def test_a_body_without_a_content_length_is_refused(api: ApiClient) -> None:
    response = api.client.generic(
        "POST",
        "/v1/customers",
        "",
        headers={"Authorization": f"Bearer {api.secret}", "Transfer-Encoding": "chunked"},
        CONTENT_LENGTH="",
    )
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "body_length_missing"
    assert Customer.objects.count() == 0


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", "{"),
        ("application/json", "[]"),
        ("application/json", '{"amount": 1, "amount": 2}'),
        ("application/json", '{"amount": 1e3, "currency": "usd"}'),
        ("application/json", "[" * 100_000),
        ("multipart/form-data; boundary=x", "--x--"),
        ("text/plain", "amount=900"),
        ("application/x-www-form-urlencoded", "amount=%zz"),
        ("application/x-www-form-urlencoded", "a" * 2_000_000),
        ("application/x-www-form-urlencoded", "a" * 4_000_000),
    ],
)
def test_a_malformed_body_is_a_400_and_never_a_500(
    api: ApiClient, content_type: str, body: str
) -> None:
    reply = api.send("POST", "/v1/payment_intents", body, content_type, {"Idempotency-Key": "k"})
    assert (reply.status, reply.error["type"]) == (400, "invalid_request_error")
    assert PaymentIntent.objects.count() == IdempotencyKey.objects.count() == 0


class Broken(MerchantView):
    """An endpoint with a mistake in it."""

    @endpoint(Parameters({}))
    def get(self, call: Call) -> Answer:
        raise RuntimeError("secret internals")


def test_an_endpoint_that_raises_is_a_500_without_details(
    api: ApiClient, caplog: pytest.LogCaptureFixture
) -> None:
    request = RequestFactory().get("/v1/x", headers={"Authorization": f"Bearer {api.secret}"})
    reply = Reply(Broken.as_view()(request))
    assert (reply.status, reply.error["type"]) == (500, "api_error")
    assert "internals" not in reply.response.content.decode()
    assert str(reply.header("Request-Id")) in caplog.text
    assert "secret internals" in caplog.text


@pytest.mark.parametrize("left", [b"", b"amount_to_capture=60"])
def test_a_body_shorter_than_its_content_length_is_refused_and_has_no_effect(
    shop: Shop, api: ApiClient, left: bytes
) -> None:
    held = api.pay(10_000, capture_method="manual")
    keys = IdempotencyKey.objects.count()
    refused = Reply(
        api.client.generic(  # type: ignore[arg-type]
            "POST",
            f"/v1/payment_intents/{held['id']}/capture",
            content_type="application/x-www-form-urlencoded",
            headers={"Authorization": f"Bearer {api.secret}", "Idempotency-Key": "cut"},
            CONTENT_LENGTH=str(len(b"amount_to_capture=6000")),
            **{"wsgi.input": BytesIO(left)},
        )
    )
    assert (refused.status, refused.error["code"]) == (400, "body_malformed")
    assert shop.effects("capture") == []
    assert IdempotencyKey.objects.count() == keys
