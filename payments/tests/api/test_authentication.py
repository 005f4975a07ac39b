"""Authentication of the merchant API, and the content of its refusals."""

from __future__ import annotations

import base64
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from payments.api import authentication
from payments.api.authentication import forget_cached_keys
from payments.clock import now_utc
from payments.models import ApiKey, PaymentIntent
from payments.services.commands.operators.merchants import (
    create_merchant,
    issue_api_key,
    revoke_api_key,
)
from payments.tests.support.api_client import ApiClient, Reply, api_of
from payments.tests.support.factories import TESTS, PspAccountFactory
from payments.tests.support.shop import Shop


@pytest.fixture
def api(shop: Shop) -> ApiClient:
    return api_of(shop)


def authorized(api: ApiClient, header: str) -> Reply:
    return api.send("GET", "/v1/balance", headers={"Authorization": header})


def basic(user: str, password: str = "") -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_a_key_works_as_bearer_token_and_as_the_user_of_basic(api: ApiClient) -> None:
    assert authorized(api, f"Bearer {api.secret}").status == 200
    assert authorized(api, f"bearer {api.secret}").status == 200
    assert authorized(api, basic(api.secret)).status == 200


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer sk_test_" + "a" * 33,
        "Bearer sk_test_short",
        "Bearer sk_test_" + "a" * 4_000,
        "Bearer sk_test_" + "é" * 33,
        "Token sk_test_" + "a" * 33,
        "Basic !!!",
        "Basic " + base64.b64encode(b"\xff\xfe:").decode(),
        basic("sk_test_" + "a" * 33),
        "Bearer pk_test_" + "a" * 33,
    ],
)
def test_a_request_without_a_valid_key_gets_401_and_writes_nothing(
    api: ApiClient, header: str
) -> None:
    reply = api.send(
        "POST",
        "/v1/payment_intents",
        "amount=900&currency=usd",
        headers={"Authorization": header, "Idempotency-Key": "k"},
    )
    assert (reply.status, reply.error["type"]) == (401, "invalid_request_error")
    assert "WWW-Authenticate" in reply.response.headers
    assert "sk_test" not in reply.error["message"]
    assert PaymentIntent.objects.count() == 0


def test_two_api_keys_in_one_request_are_refused(
    shop: Shop, other_shop: Shop, api: ApiClient
) -> None:
    other = api_of(other_shop)
    for separator in (",", ", "):
        both = f"Bearer {api.secret}{separator}Bearer {other.secret}"
        assert authorized(api, both).status == 401


@pytest.mark.parametrize("query", ["?key={}", "?expand[]=x&api_key={}", "?foo={}", "?a={}&key=1"])
def test_an_api_key_in_the_url_is_refused_even_with_a_good_header(
    api: ApiClient, query: str
) -> None:
    reply = api.get("/v1/balance" + query.format(api.secret))
    assert reply.status == 401
    assert "URL" in reply.error["message"]


def test_a_cached_key_is_refused_from_the_second_it_expires(shop: Shop, api: ApiClient) -> None:
    key = ApiKey.objects.get()
    key.expires_at = now_utc() + timedelta(hours=1)
    key.save(update_fields=["expires_at"])
    assert api.get("/v1/balance").status == 200
    remembered = next(iter(authentication._remembered.values()))[1]
    remembered.key.expires_at = now_utc()
    assert api.get("/v1/balance").status == 401


def test_a_revoked_key_is_refused(shop: Shop, api: ApiClient) -> None:
    assert api.get("/v1/balance").status == 200
    key = ApiKey.objects.get()
    revoke_api_key(key, author=TESTS)
    first = key.revoked_at
    revoke_api_key(key, author=TESTS)
    assert key.revoked_at == first is not None
    forget_cached_keys()
    assert api.get("/v1/balance").status == 401


def test_an_api_key_costs_one_query_and_none_while_it_is_cached(api: ApiClient) -> None:
    forget_cached_keys()
    with CaptureQueriesContext(connection) as first:
        api.get("/v1/charges/ch_x")
    with CaptureQueriesContext(connection) as second:
        api.get("/v1/charges/ch_x")
    assert (len(first), len(second)) == (1, 0)


def test_keys_are_shown_once_and_stored_as_a_hash(shop: Shop) -> None:
    key, secret = issue_api_key(merchant=shop.merchant, livemode=True, name="shop", author=TESTS)
    assert secret.startswith("sk_live_")
    assert len(secret) == len("sk_live_") + 33
    stored = ApiKey.objects.get(pk=key.pk)
    assert secret not in {str(value) for value in vars(stored).values()}
    assert stored.last4 == secret[-4:]


def test_a_live_key_without_a_live_psp_account_is_refused_with_that_reason(shop: Shop) -> None:
    _, secret = issue_api_key(merchant=shop.merchant, livemode=True, author=TESTS)
    live = ApiClient(secret)
    reply = live.post("/v1/payment_intents", amount=900, currency="usd")
    assert (reply.status, reply.error["code"]) == (400, "payment_provider_missing")
    assert "live" in reply.error["message"]
    assert PaymentIntent.objects.count() == 0


def test_a_merchant_cannot_have_a_provider_of_the_other_mode(database: None) -> None:
    account = PspAccountFactory.create(livemode=False)
    with pytest.raises(ValueError, match="other mode"):
        create_merchant(name="Mix-up", live_psp_account=account, author=TESTS)


def test_live_and_test_objects_do_not_see_each_other(shop: Shop, api: ApiClient) -> None:
    intent = api.pay()
    shop.merchant.live_psp_account = PspAccountFactory.create(livemode=True)
    shop.merchant.save()
    _, secret = issue_api_key(merchant=shop.merchant, livemode=True, author=TESTS)
    live = ApiClient(secret)
    assert live.get(f"/v1/payment_intents/{intent['id']}").status == 404
    assert live.get("/v1/events").body["data"] == []
    assert live.get("/v1/balance_transactions").body["data"] == []
    assert live.get("/v1/balance").body["pending"] == []
    assert api.get("/v1/balance").body["pending"][0]["amount"] == intent["amount"]


def test_authentication_comes_before_everything_else(api: ApiClient) -> None:
    reply = api.send(
        "POST",
        "/v1/payment_intents",
        "amount=x&unknown=1",
        headers={"Authorization": "", "Idempotency-Key": ""},
    )
    assert reply.status == 401


def test_an_answer_is_never_replayed_to_another_merchant(
    shop: Shop, other_shop: Shop, api: ApiClient
) -> None:
    mine = api.post("/v1/payment_intents", key="same", amount=900, currency="usd")
    theirs = api_of(other_shop).post("/v1/payment_intents", key="same", amount=900, currency="usd")
    assert theirs.status == 200
    assert theirs.body["id"] != mine.body["id"]
    assert theirs.header("Idempotent-Replayed") is None
