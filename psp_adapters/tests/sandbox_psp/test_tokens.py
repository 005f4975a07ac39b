"""What each test token does, at once and later."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from psp_adapters.sandbox_psp.tokens import TOKENS
from psp_adapters.tests.support.sandbox_process import SandboxProcess
from psp_adapters.tests.support.shop import Shop, error_of, kinds


@pytest.mark.parametrize("name", sorted(TOKENS))
def test_every_published_token_does_what_it_says(
    sandbox: SandboxProcess, shop: Shop, name: str
) -> None:
    token = TOKENS[name]
    status, view = shop.request("GET", f"/v1/tokens/{name}")
    assert (status, view["last4"], view["brand"]) == (200, token.last4, token.brand)
    if token.fault:
        return
    status, answer = shop.pay(name, capture=True, mandate="mandate_1")
    if token.settles_late:
        assert (status, answer["status"]) == (200, "pending")
    elif token.challenge:
        assert (status, answer["status"]) == (200, "requires_action")
    elif token.decline:
        assert status == 402
        error = answer["error"]
        assert (error["code"], error["decline_code"]) == (
            token.decline.code,
            token.decline.decline_code,
        )
    else:
        assert (status, answer["status"]) == (200, "succeeded")
    paid = status == 200 and answer["status"] == "succeeded"
    assert len(kinds(sandbox, shop)) == (2 if paid else 0)


@pytest.mark.parametrize(
    "name",
    [
        "pm_card_visa",
        "tok_visa",
        "pm_card_mastercard",
        "tok_amex",
        "pm_card_chargeDeclined",
        "pm_card_visa_chargeDeclined",
        "tok_chargeDeclined",
        "tok_visa_chargeDeclined",
        "pm_card_visa_chargeDeclinedInsufficientFunds",
        "pm_card_chargeDeclinedExpiredCard",
        "pm_card_threeDSecure2Required",
        "pm_card_pendingRefund",
        "pm_card_refundFail",
        "pm_card_createDispute",
        "pm_card_unionpay",
        "pm_bankDebit_success",
        "pm_sepaDebit_fail",
    ],
)
def test_the_well_known_names_exist(name: str) -> None:
    assert TOKENS[name].token == name


def test_spellings_of_one_card_share_a_fingerprint() -> None:
    names = ("pm_card_chargeDeclined", "tok_visa_chargeDeclined", "pm_card_visa_chargeDeclined")
    assert len({TOKENS[name].fingerprint for name in names}) == 1
    assert TOKENS["pm_card_visa"].fingerprint != TOKENS["pm_card_mastercard"].fingerprint


@pytest.mark.parametrize(
    ("token", "answer", "status", "code"),
    [
        ("pm_card_threeDSecure2Required", "complete", "captured", None),
        ("pm_card_threeDSecure2Required", "fail", "declined", "authentication_failed"),
        ("pm_card_threeDSecureRequiredChargeDeclined", "complete", "declined", "card_declined"),
        ("pm_card_threeDSecureRequiredProcessingError", "complete", "declined", "processing_error"),
    ],
)
def test_a_challenge_ends_and_sends_the_customer_back(
    sandbox: SandboxProcess, shop: Shop, token: str, answer: str, status: str, code: str | None
) -> None:
    _, operation = shop.pay(token, capture=True, return_url="https://shop.example/back?a=1#x")
    page = urlsplit(operation["challenge_url"]).path
    shown, html = shop.request("GET", page)
    assert shown == 200
    assert "10.00 USD" in html
    assert "Complete" in html
    assert "Fail" in html
    accept = {"Accept": "application/json"}
    for _ in range(2):  # a second click changes nothing
        redirected, view = shop.request("POST", f"{page}/{answer}", headers=accept)
        assert redirected == 303
        back = f"https://shop.example/back?a=1&psp_payment_id={operation['payment_id']}#x"
        assert view["return_to"] == back
        assert view["status"] == status
        assert view["operations"][0].get("error", {}).get("code") == code
    assert len(kinds(sandbox, shop)) == (2 if status == "captured" else 0)


def test_a_requested_challenge_is_made_where_the_card_supports_it(shop: Shop) -> None:
    for token, asked, status in (
        ("pm_card_threeDSecureOptional", "request", "requires_action"),
        ("pm_card_threeDSecureOptional", "allow", "succeeded"),
        ("pm_card_visa", "request", "succeeded"),
    ):
        assert shop.pay(token, challenge=asked)[1]["status"] == status


def test_an_abandoned_challenge_can_be_voided(sandbox: SandboxProcess, shop: Shop) -> None:
    _, operation = shop.pay("pm_card_threeDSecure2Required")
    assert shop.modify(operation["payment_id"], "void")[0] == 200
    shop.request("POST", f"/challenge/{operation['payment_id']}/complete")
    assert shop.payment(operation["payment_id"])["status"] == "canceled"
    assert kinds(sandbox, shop) == []


@pytest.mark.parametrize(("result", "effects"), [("success", 2), ("fail", 0)])
def test_a_bank_debit_settles_later(own_sandbox: SandboxProcess, result: str, effects: int) -> None:
    shop = Shop(own_sandbox.base_url)
    token = f"pm_sepaDebit_{result}"
    assert error_of(shop.pay(token, capture=True)) == (400, "mandate_required")
    payment_id = shop.pay(token, capture=True, mandate="mandate_1")[1]["payment_id"]
    assert shop.payment(payment_id)["mandate"] == "mandate_1"
    assert shop.payment(payment_id)["status"] == "pending"
    assert shop.modify(payment_id, "void")[0] == 400
    own_sandbox.advance(3)
    view = shop.payment(payment_id)
    assert view["status"] == ("captured" if effects else "declined")
    assert len(kinds(own_sandbox, shop)) == effects


def test_a_bank_debit_is_disputed_after_it_has_settled(own_sandbox: SandboxProcess) -> None:
    shop = Shop(own_sandbox.base_url)
    shop.pay("pm_sepaDebit_disputed", capture=True, mandate="mandate_1")
    for _ in range(2):
        own_sandbox.advance(3)
    moved = [kind for kind, _ in kinds(own_sandbox, shop)]
    assert moved == ["authorize", "capture", "dispute", "dispute_fee"]


def test_a_pending_refund_reserves_and_then_moves(own_sandbox: SandboxProcess) -> None:
    shop = Shop(own_sandbox.base_url)
    payment_id = shop.pay("pm_card_pendingRefund", capture=True)[1]["payment_id"]
    assert shop.modify(payment_id, "refund", 600)[1]["status"] == "pending"
    assert error_of(shop.modify(payment_id, "refund", 401)) == (400, "refund_exceeds_captured")
    assert len(kinds(own_sandbox, shop)) == 2
    own_sandbox.advance(3)
    assert kinds(own_sandbox, shop)[2:] == [("refund", 600)]
    assert shop.payment(payment_id)["refunded_minor"] == 600


def test_a_refund_that_fails_later_is_reversed(own_sandbox: SandboxProcess) -> None:
    shop = Shop(own_sandbox.base_url)
    payment_id = shop.pay("pm_card_refundFail", capture=True)[1]["payment_id"]
    operation = shop.modify(payment_id, "refund", 600)[1]
    assert operation["status"] == "succeeded"
    own_sandbox.advance(3)
    assert shop.request("GET", f"/v1/operations/{operation['id']}")[1]["status"] == "failed"
    assert kinds(own_sandbox, shop)[2:] == [("refund", 600), ("refund_failed", 600)]
    assert shop.payment(payment_id)["refunded_minor"] == 0
