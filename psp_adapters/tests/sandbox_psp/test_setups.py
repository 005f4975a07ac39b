"""Setups at the sandbox PSP: a card is verified for later payments, and no money moves."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest

from psp_adapters.tests.support.receiver import SECRET, Receiver
from psp_adapters.tests.support.sandbox_process import SandboxProcess
from psp_adapters.tests.support.shop import Shop, error_of, kinds

JSON = {"Accept": "application/json"}
BACK = "https://shop.example/back"


def set_up(shop: Shop, token: str, *, reference: str = "seti-1", **more: Any) -> tuple[int, Any]:
    body = {"reference": reference, "token": token, **more}
    return shop.request("POST", "/v1/setups", body, key=f"key-{reference}")


def charge(shop: Shop, token: str, reference: str, **credential: Any) -> tuple[int, Any]:
    return shop.pay(token, reference=reference, capture=True, challenge="forbid", **credential)


@pytest.mark.parametrize(
    ("token", "status", "code"),
    [
        ("pm_card_visa", "succeeded", ""),
        ("pm_card_chargeCustomerFail", "succeeded", ""),
        ("pm_card_chargeDeclinedInsufficientFunds", "declined", "card_declined"),
        ("pm_card_authenticationRequiredOnSetup", "requires_action", ""),
    ],
)
def test_a_card_is_verified_once_per_key_and_no_money_moves(
    sandbox: SandboxProcess, shop: Shop, token: str, status: str, code: str
) -> None:
    answered, view = set_up(shop, token)
    setup = view["setup"] if answered == 402 else view
    assert (answered, setup["status"]) == (402 if code else 200, status)
    assert setup.get("error", {}).get("code", "") == code
    assert bool(setup["network_transaction_id"]) is (status == "succeeded")
    assert set_up(shop, token) == (answered, view), "a repeat of the key gets the first answer"
    assert shop.request("GET", f"/v1/setups/{setup['id']}") == (200, setup)
    [found] = shop.request("GET", "/v1/setups?reference=seti-1")[1]["data"]
    assert found == setup
    assert kinds(sandbox, shop) == []


def test_a_challenge_of_a_setup_ends_and_sends_the_customer_back(shop: Shop) -> None:
    for answer, status in (("complete", "succeeded"), ("fail", "declined")):
        setup = set_up(shop, "pm_card_threeDSecure2Required", reference=answer, return_url=BACK)[1]
        page = urlsplit(setup["challenge_url"]).path
        assert "keep your card" in shop.request("GET", page)[1]
        for _ in range(2):  # a second click changes nothing
            redirected, view = shop.request("POST", f"{page}/{answer}", headers=JSON)
            assert (redirected, view["status"]) == (303, status)
            assert view["return_to"] == f"{BACK}?psp_setup_id={setup['id']}"
        assert "over" in shop.request("GET", page)[1]


def test_an_agreement_lets_a_card_through_without_its_customer(shop: Shop) -> None:
    token = "pm_card_authenticationRequiredOnSetup"
    setup = set_up(shop, token)[1]
    agreed = shop.request(
        "POST", f"{urlsplit(setup['challenge_url']).path}/complete", headers=JSON
    )[1]
    known = {"off_session": True, "network_transaction_id": agreed["network_transaction_id"]}
    assert charge(shop, token, "r1")[0] == 402, "without the agreement"
    assert charge(shop, token, "r2", credential={**known, "off_session": False})[0] == 402
    assert charge(shop, token, "r3", credential=known)[1]["status"] == "succeeded"
    declined = charge(shop, "pm_card_authenticationRequired", "r4", credential=known)
    assert error_of(declined) == (402, "authentication_required")


def test_a_payment_that_saves_its_card_makes_an_agreement(shop: Shop) -> None:
    saved = shop.pay("pm_card_visa", reference="r1", credential={"save_for": "off_session"})[1]
    assert saved["network_transaction_id"].startswith("snt_")
    plain = shop.pay("pm_card_authenticationRequiredOnSetup", reference="r2")[1]
    assert "network_transaction_id" not in plain, "nothing was charged yet"
    paid = shop.pay("pm_card_visa", reference="r3")[1]["network_transaction_id"]
    known = {"off_session": True, "network_transaction_id": paid}
    alone = charge(shop, "pm_card_authenticationRequiredOnSetup", "r4", credential=known)
    assert error_of(alone) == (402, "authentication_required"), "a plain charge agrees to nothing"


def test_what_cannot_be_set_up_is_refused(shop: Shop) -> None:
    assert error_of(set_up(shop, "pm_ideal_success")) == (400, "setup_unsupported")
    assert error_of(set_up(shop, "pm_sepaDebit_success")) == (400, "mandate_required")
    assert error_of(set_up(shop, "pm_nothing", reference="s2")) == (404, "token_unknown")
    assert error_of(set_up(shop, "pm_card_visa", reference="s3", usage="once"))[0] == 400
    assert shop.request("GET", "/v1/setups?reference=s2")[0] == 404


def test_setups_survive_a_restart(own_sandbox: SandboxProcess) -> None:
    shop = Shop(own_sandbox.base_url)
    setup = set_up(shop, "pm_card_visa")[1]
    own_sandbox.kill()
    own_sandbox.start()
    assert shop.request("GET", f"/v1/setups/{setup['id']}") == (200, setup)


def test_the_end_of_a_setup_has_a_notice(sandbox: SandboxProcess, shop: Shop) -> None:
    with Receiver() as receiver:
        endpoint = {"url": receiver.url, "secret": SECRET}
        assert shop.request("PUT", "/v1/webhook_endpoint", endpoint)[0] == 200
        set_up(shop, "pm_card_visa", reference="s1")
        set_up(shop, "pm_card_chargeDeclined", reference="s2")
        setup = set_up(shop, "pm_card_threeDSecure2Required", reference="s3")[1]
        shop.request("POST", f"{urlsplit(setup['challenge_url']).path}/complete", headers=JSON)
        receiver.wait_for(3)
        told = {(each.type, *each.notice["data"]["references"]) for each in receiver.deliveries}
    assert told == {
        ("setup.succeeded", "s1"),
        ("setup.declined", "s2"),
        ("setup.succeeded", "s3"),
    }
