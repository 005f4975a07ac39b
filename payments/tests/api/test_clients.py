"""Requests as official SDKs of several ages and other people's shops spell them."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from payments.models import Customer, Operation, PaymentIntent
from payments.tests.support.api_client import ApiClient, api_of
from payments.tests.support.shop import Shop

SALE = {"amount": 5_000, "currency": "usd", "payment_method": "pm_card_visa"}


@pytest.fixture
def api(shop: Shop) -> ApiClient:
    return api_of(shop)


def refused(reply: Any) -> tuple[int, str, str]:
    return reply.status, reply.error.get("code", ""), reply.error.get("param", "")


@pytest.mark.parametrize(("written", "confirmed"), [("True", True), ("False", False)])
def test_booleans_may_be_written_as_python_does(
    api: ApiClient, written: str, confirmed: bool
) -> None:
    reply = api.post("/v1/payment_intents", **SALE, confirm=written)
    assert reply.status == 200
    assert (reply.body["status"] == "succeeded") is confirmed


@pytest.mark.parametrize(
    ("agent", "how"),
    [
        ("Stripe/v1 PhpBindings/10.21.0", "['idempotency_key' =>"),
        ("Stripe/v1 NodeBindings/12.18.0", "{idempotencyKey:"),
        ("Stripe/v1 PythonBindings/5.5.0", "idempotency_key=str(uuid.uuid4())"),
        ("curl/8.0", "such as a UUID"),
    ],
)
def test_a_missing_key_is_refused_with_how_this_sdk_sends_one(
    api: ApiClient, agent: str, how: str
) -> None:
    reply = api.post("/v1/payment_intents", key=None, headers={"User-Agent": agent}, **SALE)
    assert refused(reply)[:2] == (400, "idempotency_key_required")
    assert how in reply.error["message"]
    assert "idempotency_key_required" in reply.error["message"], "the setting to change"
    assert not PaymentIntent.objects.exists()


def test_the_merchant_setting_allows_requests_without_a_key(shop: Shop, api: ApiClient) -> None:
    shop.merchant.idempotency_key_required = False
    shop.merchant.save(update_fields=["idempotency_key_required"])
    assert api.post("/v1/payment_intents", key=None, **SALE, confirm=True).status == 200


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        ("sk_test_short", "Invalid API Key provided: ****************"),
        (
            "rk_live_abcdefghijklmnopqrst1234",
            "Invalid API Key provided: rk_live_****************1234",
        ),
        (
            "pk_test_abcdefghijklmnopqrst",
            "This API call cannot be made with a publishable API key.",
        ),
    ],
)
def test_a_key_of_the_wrong_form_is_refused_as_stripe_says_it(secret: str, said: str) -> None:
    reply = ApiClient(secret).get("/v1/balance")
    assert reply.status == 401
    assert reply.error["message"].startswith(said)


UNKNOWN = f"cus_{'1' * 22}"


@pytest.mark.parametrize(
    ("method", "path", "given", "param"),
    [
        ("post", "/v1/payment_intents", {**SALE, "customer": UNKNOWN}, "customer"),
        ("post", "/v1/payment_intents", {**SALE, "payment_method": "pm_unknown"}, "payment_method"),
        ("get", "/v1/payment_intents", {"customer": UNKNOWN}, "customer"),
        ("get", "/v1/payment_intents", {"starting_after": f"pi_{'1' * 22}"}, "starting_after"),
        ("get", "/v1/payment_intents", {"starting_after": "pi_x"}, "starting_after"),
        ("get", "/v1/customers", {"ending_before": UNKNOWN}, "ending_before"),
        ("post", "/v1/refunds", {"payment_intent": f"pi_{'1' * 22}"}, "payment_intent"),
        ("post", "/v1/refunds", {"charge": f"ch_{'1' * 22}"}, "charge"),
    ],
)
def test_an_unknown_object_in_a_parameter_is_a_bad_request(
    api: ApiClient, method: str, path: str, given: dict[str, Any], param: str
) -> None:
    reply = getattr(api, method)(path, **given)
    assert refused(reply) == (400, "resource_missing", param)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/payment_intents/pi_x",
        f"/v1/customers/{UNKNOWN}",
        "/v1/payment_methods/pm_x",
        "/v1/refunds/re_x",
        "/v1/charges/ch_x",
        "/v1/events/evt_x",
        "/v1/accounts/acct_x",
        "/v1/disputes/du_x",
    ],
)
def test_an_unknown_object_of_the_url_is_not_found(api: ApiClient, path: str) -> None:
    assert refused(api.get(path))[:2] == (404, "resource_missing")


@pytest.mark.parametrize("path", ["/v1/nothing", "/v2/core/events", "/v2"])
def test_an_unknown_url_carries_a_code(api: ApiClient, path: str) -> None:
    reply = api.get(path)
    assert refused(reply)[:2] == (404, "unrecognized_url")
    assert reply.header("Content-Type") == "application/json"


@pytest.mark.parametrize("word", ["one_off", "recurring", "true"])
def test_off_session_may_name_the_kind_of_charge(api: ApiClient, word: str) -> None:
    needs_customer = "pm_card_authenticationRequired"
    given = SALE | {"payment_method": needs_customer, "confirm": True, "off_session": word}
    reply = api.post("/v1/payment_intents", **given)
    assert refused(reply)[:2] == (402, "authentication_required")


def test_use_stripe_sdk_changes_nothing(api: ApiClient) -> None:
    reply = api.post("/v1/payment_intents", **SALE, confirm=True, use_stripe_sdk=True)
    assert (reply.status, reply.body["status"]) == (200, "succeeded")


def test_a_token_with_details_is_charged_and_the_details_are_kept(api: ApiClient) -> None:
    data = {
        "type": "card",
        "card": {"token": "tok_visa"},
        "billing_details": {"name": "Ada Lovelace"},
        "metadata": {"kept": "yes"},
    }
    reply = api.post(
        "/v1/payment_intents", amount=900, currency="usd", confirm=True, payment_method_data=data
    )
    assert (reply.status, reply.body["status"]) == (200, "succeeded")
    method = api.get(f"/v1/payment_methods/{reply.body['payment_method']}").body
    assert method["billing_details"]["name"] == "Ada Lovelace"
    assert method["metadata"] == {"kept": "yes"}


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ({"type": "card", "card": {"number": "4242424242424242"}}, "card_data_not_allowed"),
        ({"type": "card"}, "parameter_missing"),
        ({"type": "card", "card": {"token": "pm_bankDebit_success"}}, "parameter_invalid"),
    ],
)
def test_details_without_a_token_of_their_type_are_refused(
    api: ApiClient, data: dict[str, Any], code: str
) -> None:
    reply = api.post(
        "/v1/payment_intents", amount=900, currency="usd", confirm=True, payment_method_data=data
    )
    assert refused(reply)[:2] == (400, code)
    assert not Operation.objects.exists()


def test_a_method_is_named_in_one_way_only(api: ApiClient) -> None:
    data = {"type": "card", "card": {"token": "tok_visa"}}
    reply = api.post("/v1/payment_intents", **SALE, payment_method_data=data)
    assert reply.status == 400
    assert not PaymentIntent.objects.exists()


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("call +49 171 (evenings)", "call +49 171 (evenings)"),
        ("\u0660\u0661\u0662 \u2013 345", "\u0660\u0661\u0662 \u2013 345"),
        ("n/a", "n/a"),
    ],
)
def test_a_phone_is_kept_as_people_write_it(api: ApiClient, given: str, kept: str) -> None:
    assert api.post("/v1/customers", phone=given).body["phone"] == kept


def test_line_breaks_and_tabs_in_names_and_addresses_become_blanks(api: ApiClient) -> None:
    address = {"line1": "1 High St\r\nFlat 2", "city": "Ely\tCambs"}
    reply = api.post("/v1/customers", name="Ada\nLovelace", address=address)
    shown = reply.body
    assert shown["name"] == "Ada Lovelace"
    assert (shown["address"]["line1"], shown["address"]["city"]) == (
        "1 High St Flat 2",
        "Ely Cambs",
    )


def test_a_card_number_across_lines_is_found_all_the_same(api: ApiClient) -> None:
    reply = api.post("/v1/customers", name="4242 4242\n4242 4242")
    assert refused(reply)[:2] == (400, "card_data_not_allowed")
    assert not Customer.objects.exists()


@pytest.mark.parametrize("text", ["a\x00b", "a\x1bb"])
def test_control_characters_are_refused(api: ApiClient, text: str) -> None:
    assert api.post("/v1/customers", name=text).status == 400


@pytest.mark.parametrize(
    ("given", "shown"),
    [("Café Müller", "Cafe Muller"), ("Straße Łódź", "Strasse Lodz"), ("Øre – Åse", "Ore - Ase")],
)
def test_accents_of_a_statement_descriptor_are_transliterated(
    api: ApiClient, given: str, shown: str
) -> None:
    reply = api.post("/v1/payment_intents", **SALE, statement_descriptor_suffix=given)
    assert (reply.status, reply.body["statement_descriptor_suffix"]) == (200, shown)


def test_a_customer_keeps_languages_and_tax_status(api: ApiClient) -> None:
    made = api.post("/v1/customers", preferred_locales=["de", "pt-BR"], tax_exempt="reverse").body
    assert (made["preferred_locales"], made["tax_exempt"]) == (["de", "pt-BR"], "reverse")
    changed = api.post(f"/v1/customers/{made['id']}", tax_exempt="none").body
    assert (changed["preferred_locales"], changed["tax_exempt"]) == (["de", "pt-BR"], "none")
    cleared = api.post(f"/v1/customers/{made['id']}", preferred_locales="").body
    assert cleared["preferred_locales"] == []
    assert api.post("/v1/customers", tax_exempt="maybe").status == 400


def test_a_repeat_with_the_same_key_gets_the_same_charge(api: ApiClient) -> None:
    key, data = str(uuid.uuid4()), {"type": "card", "card": {"token": "tok_visa"}}
    given: dict[str, Any] = {
        "amount": 900,
        "currency": "usd",
        "confirm": True,
        "payment_method_data": data,
    }
    first = api.post("/v1/payment_intents", key=key, **given)
    again = api.post("/v1/payment_intents", key=key, **given)
    assert first.body == again.body
    assert Operation.objects.count() == 1
