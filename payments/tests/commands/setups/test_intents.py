"""Setup intents: a card is verified once at the PSP, kept for its customer, and costs nothing."""

from __future__ import annotations

from typing import Any

import pytest

from payments.models import Event, PaymentMethod, SetupAttempt, SetupIntent
from payments.services.recovery.setups import resolve_setup
from payments.tests.support.api_client import ApiClient, Reply, api_of
from payments.tests.support.shop import Shop, uuid_of

PATH = "/v1/setup_intents"
CHALLENGED = "pm_card_threeDSecure2Required"
BACK = "https://shop.example/cards?a=1"


@pytest.fixture
def api(shop: Shop) -> ApiClient:
    return api_of(shop)


def set_up(api: ApiClient, token: str = "pm_card_visa", **more: Any) -> Reply:
    return api.post(PATH, payment_method=token, confirm=True, **more)


def events_of(setup_id: str) -> list[str]:
    rows = Event.objects.filter(aggregateid=uuid_of(setup_id)).order_by("seq")
    return list(rows.values_list("type", flat=True))


def customer_of(api: ApiClient) -> str:
    identifier: str = api.post("/v1/customers", name="Ada").body["id"]
    return identifier


def test_a_card_is_verified_attached_and_moves_no_money(shop: Shop, api: ApiClient) -> None:
    customer, effects_before = customer_of(api), len(shop.psp.effects())
    made = api.post(PATH, customer=customer, usage="on_session", metadata={"a": "b"}).body
    assert (made["status"], made["usage"]) == ("requires_payment_method", "on_session")
    assert made["payment_method_types"] == ["card", "sepa_debit"]
    assert made["client_secret"].startswith(f"{made['id']}_secret_")
    chosen = api.post(f"{PATH}/{made['id']}", payment_method="pm_card_visa").body
    assert chosen["status"] == "requires_confirmation"

    kept = api.post(f"{PATH}/{made['id']}/confirm", expand=["payment_method"]).body
    assert (kept["status"], kept["next_action"], kept["last_setup_error"]) == (
        "succeeded",
        None,
        None,
    )
    assert kept["payment_method"]["customer"] == customer
    method = PaymentMethod.objects.get()
    attempt = SetupAttempt.objects.get()
    assert method.network_transaction_id == attempt.network_transaction_id != ""
    assert attempt.usage == "on_session"
    assert events_of(made["id"]) == ["setup_intent.created", "setup_intent.succeeded"]
    assert Event.objects.filter(type="payment_method.attached").count() == 1
    [listed] = api.get("/v1/payment_methods", customer=customer).body["data"]
    assert listed["id"] == method.public_id
    assert shop.psp.effects(after=effects_before) == []
    assert api.post(f"{PATH}/{made['id']}/confirm").error["code"] == "setup_intent_unexpected_state"


@pytest.mark.parametrize(
    ("token", "code", "decline_code"),
    [
        ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", "expired_card"),
    ],
)
def test_a_declined_setup_answers_402_and_takes_another_card(
    api: ApiClient, token: str, code: str, decline_code: str
) -> None:
    declined = set_up(api, token)
    error = declined.error
    assert (declined.status, error["type"], error["code"]) == (402, "card_error", code)
    assert error["decline_code"] == decline_code
    setup = error["setup_intent"]
    assert setup["status"] == "requires_payment_method"
    assert setup["payment_method"] is None
    assert setup["last_setup_error"]["code"] == code
    assert setup["last_setup_error"]["payment_method"]["id"] == error["payment_method"]["id"]
    assert events_of(setup["id"])[-1] == "setup_intent.setup_failed"
    again = api.post(f"{PATH}/{setup['id']}/confirm", payment_method="pm_card_visa").body
    assert (again["status"], again["last_setup_error"]) == ("succeeded", None)
    attempts = api.get("/v1/setup_attempts", setup_intent=setup["id"]).body["data"]
    assert [each["status"] for each in attempts] == ["succeeded", "failed"]
    assert attempts[1]["setup_error"]["code"] == code


def test_a_card_that_fails_when_it_is_charged_can_be_kept(api: ApiClient) -> None:
    customer = customer_of(api)
    kept = set_up(api, "pm_card_chargeCustomerFail", customer=customer).body
    assert kept["status"] == "succeeded"
    charged = api.post(
        "/v1/payment_intents",
        amount=1000,
        currency="usd",
        customer=customer,
        payment_method=kept["payment_method"],
        confirm=True,
        off_session=True,
    )
    assert (charged.status, charged.error["code"]) == (402, "card_declined")
    assert charged.error["payment_method"]["id"] == kept["payment_method"]


@pytest.mark.parametrize("fails", [False, True])
def test_a_challenge_is_completed_on_the_way_back(
    shop: Shop, api: ApiClient, *, fails: bool
) -> None:
    customer = customer_of(api)
    opened = set_up(api, CHALLENGED, customer=customer, return_url=BACK).body
    assert opened["status"] == "requires_action"
    action = opened["next_action"]["redirect_to_url"]
    assert action["return_url"] == BACK
    back = shop.psp.complete_challenge(action["url"], fail=fails)["return_to"]
    way = api.client.get(back.replace("http://testserver", ""))
    assert way.status_code == 302
    came = "failed" if fails else "succeeded"
    assert way.headers["Location"] == (
        f"{BACK}&setup_intent={opened['id']}&setup_intent_client_secret={opened['client_secret']}"
        f"&redirect_status={came}"
    )
    setup = api.get(f"{PATH}/{opened['id']}").body
    assert setup["status"] == ("requires_payment_method" if fails else "succeeded")
    attached = bool(PaymentMethod.objects.get().customer_id)
    assert attached is not fails
    if fails:
        assert setup["last_setup_error"]["code"] == "setup_intent_authentication_failure"
    ended = "setup_intent.setup_failed" if fails else "setup_intent.succeeded"
    assert events_of(opened["id"])[1:] == ["setup_intent.requires_action", ended]


def test_another_card_replaces_an_open_challenge_whose_card_is_not_kept(
    shop: Shop, api: ApiClient
) -> None:
    opened = set_up(api, CHALLENGED).body
    path = f"{PATH}/{opened['id']}/confirm"
    assert api.post(path).error["code"] == "setup_intent_unexpected_state"
    kept = api.post(path, payment_method="pm_card_visa").body
    assert kept["status"] == "succeeded"
    shop.psp.complete_challenge(opened["next_action"]["redirect_to_url"]["url"])
    first = SetupAttempt.objects.earliest("id")
    assert (first.status, resolve_setup(first.id, actor="test")) == ("CANCELED", False)


def test_a_canceled_setup_keeps_nothing(shop: Shop, api: ApiClient) -> None:
    opened = set_up(api, CHALLENGED, customer=customer_of(api)).body
    canceled = api.post(f"{PATH}/{opened['id']}/cancel", cancellation_reason="abandoned").body
    assert (canceled["status"], canceled["cancellation_reason"]) == ("canceled", "abandoned")
    shop.psp.complete_challenge(opened["next_action"]["redirect_to_url"]["url"])
    assert PaymentMethod.objects.get().customer_id is None
    for verb in ("cancel", "confirm"):
        refused = api.post(f"{PATH}/{opened['id']}/{verb}")
        assert refused.error["setup_intent"]["status"] == "canceled"
    assert events_of(opened["id"])[-1] == "setup_intent.canceled"
    assert api.post(f"{PATH}/{opened['id']}", metadata={"a": "b"}).status == 200


def test_a_repeat_with_the_same_key_gets_the_first_answer(shop: Shop, api: ApiClient) -> None:
    first = set_up(api, key="once")
    assert set_up(api, key="once").body == first.body
    assert set_up(api, "pm_card_amex", key="once").status == 400
    assert SetupIntent.objects.count() == 1
    reference = SetupAttempt.objects.get().public_id
    assert len(shop.psp.calls(kind="setup", reference=reference)) == 1


def test_setups_of_other_merchants_do_not_exist(api: ApiClient, other_shop: Shop) -> None:
    other = api_of(other_shop)
    setup = set_up(api).body
    for path in (f"{PATH}/{setup['id']}/confirm", f"{PATH}/{setup['id']}/cancel"):
        assert other.post(path).status == 404
    assert other.get(f"{PATH}/{setup['id']}").status == 404
    assert other.get("/v1/setup_attempts", setup_intent=setup["id"]).status == 400
    assert other.get(PATH).body["data"] == []
    theirs = set_up(other, setup["payment_method"])
    assert (theirs.status, theirs.error["param"]) == (400, "payment_method")
    assert SetupIntent.objects.count() == 1


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"payment_method": "pm_ideal_success"}, "payment_intent_incompatible_payment_method"),
        ({"payment_method_types": ["ideal"]}, "setup_not_supported"),
        ({"confirm": True}, "parameter_missing"),
        ({"single_use": {"amount": 1}}, "parameter_unknown"),
        ({"usage": "once"}, "parameter_invalid"),
    ],
)
def test_what_cannot_be_kept_is_refused_and_nothing_is_written(
    shop: Shop, api: ApiClient, given: dict[str, Any], code: str
) -> None:
    before = len(shop.psp.calls(kind="setup"))
    refused = api.post(PATH, **given)
    assert (refused.status, refused.error["code"]) == (400, code), refused.body
    assert not SetupIntent.objects.exists()
    assert not PaymentMethod.objects.exists()
    assert len(shop.psp.calls(kind="setup")) == before


def test_lists_are_filtered_by_customer_and_method(api: ApiClient) -> None:
    customer = customer_of(api)
    kept = set_up(api, customer=customer).body
    other = set_up(api).body
    assert [each["id"] for each in api.get(PATH).body["data"]] == [other["id"], kept["id"]]
    by = {"customer": customer}, {"payment_method": kept["payment_method"]}
    for filters in by:
        assert [each["id"] for each in api.get(PATH, **filters).body["data"]] == [kept["id"]]
