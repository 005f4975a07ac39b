"""What a merchant asks of the PSP for cards is kept, shown, and honored or refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from payments.models import Operation, PaymentIntent
from payments.tests.support.api_client import ApiClient, Reply, api_of
from payments.tests.support.late_outcomes import assert_the_books_agree
from payments.tests.support.shop import Shop
from psp_adapters.sandbox.adapter import SandboxAdapter

INTENTS = "/v1/payment_intents"
OPTIONAL = "pm_card_threeDSecureOptional"
UNSET = {
    "installments": None,
    "mandate_options": None,
    "network": None,
    "request_three_d_secure": "automatic",
}


@pytest.fixture
def api(shop: Shop) -> ApiClient:
    return api_of(shop)


def created(api: ApiClient, card: dict[str, str], **given: Any) -> Reply:
    more = {"payment_method_options": {"card": card}} if card else {}
    return api.post(INTENTS, amount=5_000, currency="usd", **more, **given)


def shown(reply: Reply) -> dict[str, Any]:
    assert reply.status == 200, reply.body
    options: dict[str, Any] = reply.body["payment_method_options"]
    return options


def test_every_option_is_kept_and_shown_and_the_others_stay(api: ApiClient) -> None:
    names = ("multicapture", "incremental_authorization", "overcapture", "extended_authorization")
    given = {f"request_{name}": "if_available" for name in names}
    reply = created(api, {"request_three_d_secure": "any", **given})
    assert shown(reply) == {"card": {**UNSET, "request_three_d_secure": "any", **given}}
    changes = {"payment_method_options": {"card": {"request_multicapture": "never"}}}
    changed = shown(api.post(f"{INTENTS}/{reply.body['id']}", **changes))["card"]
    assert changed["request_multicapture"] == "never"
    assert changed["request_overcapture"] == "if_available"
    assert shown(created(api, {})) == {"card": UNSET}
    assert shown(created(api, {}, payment_method_types=["us_bank_account"])) == {}


@pytest.mark.parametrize(
    ("asked", "status"),
    [("", "available"), ("if_available", "available"), ("never", "unavailable")],
)
def test_the_charge_tells_what_its_authorization_allows(
    shop: Shop, api: ApiClient, asked: str, status: str
) -> None:
    names = ("multicapture", "incremental_authorization")
    options = {f"request_{name}": asked for name in names if asked}
    options |= {"request_overcapture": "if_available"} if asked else {}
    held = {"payment_method": "pm_card_visa", "confirm": True, "capture_method": "manual"}
    intent = created(api, options, **held).body
    charge = api.get(f"/v1/charges/{intent['latest_charge']}").body
    card = charge["payment_method_details"]["card"]
    assert [card[name]["status"] for name in names] == [status, status]
    assert card["overcapture"]["status"] == "unavailable"

    path = f"{INTENTS}/{intent['id']}"
    raised = api.post(f"{path}/increment_authorization", amount=6_000)
    part = api.post(f"{path}/capture", amount_to_capture=1_000, final_capture=False)
    if asked != "never":
        assert (raised.status, part.status) == (200, 200)
    else:
        assert (raised.status, raised.error["param"]) == (400, "amount")
        assert (part.status, part.error["param"]) == (400, "final_capture")
        assert "request_multicapture=never" in part.error["message"]
        assert len(shop.operations(intent["id"])) == 1
    assert_the_books_agree()


@pytest.mark.matrix(most=2)
@pytest.mark.parametrize(
    ("token", "asked", "status"),
    [
        (OPTIONAL, "any", "requires_action"),
        (OPTIONAL, "challenge", "requires_action"),
        (OPTIONAL, "automatic", "succeeded"),
        ("pm_card_visa", "any", "succeeded"),
    ],
)
def test_three_d_secure_is_asked_for_where_the_card_supports_it(
    api: ApiClient, token: str, asked: str, status: str
) -> None:
    reply = created(api, {"request_three_d_secure": asked}, payment_method=token, confirm=True)
    assert (reply.status, reply.body["status"]) == (200, status)


def test_it_is_asked_for_at_confirm_and_again_when_the_request_is_repeated(
    shop: Shop, api: ApiClient
) -> None:
    intent = created(api, {}, payment_method=OPTIONAL).body
    shop.psp.script({"drop_before": True}, kind="authorize")
    asked = {"payment_method_options": {"card": {"request_three_d_secure": "challenge"}}}
    assert api.post(f"{INTENTS}/{intent['id']}/confirm", **asked).body["status"] == "processing"
    shop.settle()
    assert shop.intent(intent["id"]).status == "REQUIRES_ACTION"


@pytest.mark.parametrize("absent", ["off_session", "error_on_requires_action"])
def test_a_challenge_that_is_asked_for_and_not_allowed_is_refused(
    shop: Shop, api: ApiClient, absent: str
) -> None:
    paid = {"payment_method": OPTIONAL, "confirm": True, absent: True}
    reply = created(api, {"request_three_d_secure": "any"}, **paid)
    assert (reply.status, reply.error["code"]) == (400, "parameters_exclusive")
    assert reply.error["param"] == "payment_method_options[card][request_three_d_secure]"
    assert not PaymentIntent.objects.exists()
    debit = {"payment_method": "pm_bankDebit_success", "confirm": True, absent: True}
    assert created(api, {"request_three_d_secure": "any"}, **debit).body["status"] == "processing"


def test_a_psp_that_decides_by_itself_has_the_request_refused(
    api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = created(api, {"request_three_d_secure": "automatic"}).body
    unable = replace(SandboxAdapter.capabilities, requests_three_d_secure=False)
    monkeypatch.setattr(SandboxAdapter, "capabilities", unable)
    asked = {"request_three_d_secure": "any"}
    changed = api.post(f"{INTENTS}/{kept['id']}", payment_method_options={"card": asked})
    for reply in (created(api, asked), changed):
        assert (reply.status, reply.error["code"]) == (400, "parameter_invalid")
        assert "use request_three_d_secure=automatic" in reply.error["message"]
    assert shown(api.get(f"{INTENTS}/{kept['id']}")) == {"card": UNSET}
    assert PaymentIntent.objects.count() == 1


def test_postgresql_lets_only_a_charge_that_may_challenge_ask_for_three_d_secure(
    shop: Shop, api: ApiClient
) -> None:
    charges = Operation.objects.filter(intent_id=shop.intent(api.pay(off_session=True)["id"]).id)
    for wrong in ("any", "always"):
        with (
            pytest.raises(IntegrityError, match="operation_three_d_secure"),
            transaction.atomic(),
        ):
            charges.update(three_d_secure=wrong)
    assert charges.get().three_d_secure == ""
