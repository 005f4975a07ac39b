"""The page: one charge an attempt whatever a browser sends, and headers that keep it alone."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections
from django.test import Client

from payments.checkout.assets import SCRIPT, STYLE
from payments.models import PaymentMethod
from payments.services.callers.caller import Caller, CommandRequest
from payments.services.commands import Confirmation, confirm_intent
from payments.services.commands.charge_guards import CHECKOUT_ACTOR
from payments.services.recovery.sweep import resolve_operation
from payments.tests.checkout.visits import Visit, visit
from payments.tests.support.shop import Shop

SALE = [("authorize", 1250), ("capture", 1250)]


def test_a_payment_completes_the_session_and_a_second_tab_says_so(shop: Shop) -> None:
    visitor = visit(shop, success_url="https://shop.example/ok?s={CHECKOUT_SESSION_ID}")
    told = visitor.pay()
    assert (told["state"], told["go"]) == ("succeeded", f"https://shop.example/ok?s={visitor.id}")
    assert visitor.events() == ["checkout.session.completed"]
    assert visitor.shown() == "succeeded"
    again = visitor.pay("pm_card_mastercard")
    assert again["state"] == "succeeded"
    assert visitor.effects() == SALE


def test_a_decline_is_told_in_plain_words_and_another_card_pays(shop: Shop) -> None:
    visitor = visit(shop)
    told = visitor.pay("pm_card_chargeDeclinedStolenCard")
    assert (told["state"], told["attempt"], told["go"]) == ("pay", 2, "")
    assert told["message"].startswith("Your bank declined the payment."), "never why"
    assert "stolen" not in visitor.look().content.decode()
    assert visitor.pay()["state"] == "succeeded"
    assert visitor.effects() == SALE


def test_the_same_attempt_from_two_tabs_charges_once(shop: Shop) -> None:
    visitor = visit(shop)
    tabs = [Visit(shop, visitor.id, visitor.url) for _ in range(4)]
    tokens = ("pm_card_visa", "pm_card_mastercard", "pm_card_visa", "pm_card_amex")

    def pay(tab: Visit, token: str) -> str:
        try:
            return str(tab.pay(token)["state"])
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        states = set(pool.map(pay, tabs, tokens))
    assert states <= {"succeeded", "checking", "pay"}
    assert visitor.effects() == SALE
    assert visitor.shown() == "succeeded"


def test_an_attempt_that_no_page_was_given_is_refused(shop: Shop) -> None:
    visitor = visit(shop)
    assert visitor.pay(attempt=3)["message"]
    assert visitor.effects() == []


def test_while_the_result_is_unknown_the_page_waits_and_takes_nothing_more(shop: Shop) -> None:
    visitor = visit(shop)
    shop.psp.script({"drop_after": 1}, order_id=visitor.intent.order_id, kind="authorize")
    assert visitor.pay()["state"] == "checking"
    assert visitor.pay("pm_card_mastercard")["state"] == "checking"
    assert visitor.status()["go"] == ""
    resolve_operation(visitor.intent.latest_charge_id, actor="test")
    assert visitor.status()["state"] == "succeeded"
    assert visitor.effects() == SALE


def test_a_psp_that_was_not_reached_took_nothing_and_the_next_attempt_pays(shop: Shop) -> None:
    visitor = visit(shop)
    shop.psp.set_behavior(rate_limit=1.0, kinds=["authorize"])
    told = visitor.pay()
    assert (told["state"], "Nothing was taken" in told["message"]) == ("pay", True)
    shop.psp.heal()
    assert visitor.pay("pm_card_mastercard")["state"] == "succeeded"
    assert visitor.effects() == SALE


def test_two_sessions_of_one_order_are_paid_once(shop: Shop) -> None:
    first, second = visit(shop), visit(shop)
    assert first.pay()["state"] == "succeeded"
    told = second.pay()
    assert (told["state"], told["message"]) == (
        "pay",
        "This order is already paid. Nothing was taken now.",
    )
    assert first.effects() == SALE


def test_a_challenge_can_be_left_for_another_card(shop: Shop) -> None:
    visitor = visit(shop)
    left = visitor.pay("pm_card_threeDSecure2Required")["go"]
    assert visitor.shown() == "challenge"
    assert left.replace("&", "&amp;") in visitor.look().content.decode()
    assert visitor.pay("pm_card_visa")["state"] == "succeeded"
    shop.psp.complete_challenge(left)
    assert visitor.effects() == SALE


def test_a_bank_that_decides_later_completes_the_session_and_tells_how_it_ended(
    shop: Shop,
) -> None:
    visitors = {
        name: visit(shop, metadata={"order_id": f"{shop.order_id}-{name}"})
        for name in ("success", "fail")
    }
    for name, visitor in visitors.items():
        intent = visitor.intent
        # The page offers no debit without its fields: such a session ends so all the same.
        charge(visitor, f"pm_usBankAccount_{name}")
        assert visitor.shown() == "accepted"
        assert visitor.events() == ["checkout.session.completed"]
        shop.psp.advance(3)
        resolve_operation(intent.operations.get().pk, actor="test")
    ended = {name: visitor.events()[-1] for name, visitor in visitors.items()}
    assert ended == {
        "success": "checkout.session.async_payment_succeeded",
        "fail": "checkout.session.async_payment_failed",
    }
    assert {name: each.shown() for name, each in visitors.items()} == {
        "success": "succeeded",
        "fail": "failed",
    }


def charge(visitor: Visit, token: str) -> None:
    """Confirm the session's payment with a token, as its page would."""
    shop = visitor.shop
    caller = Caller(
        merchant=shop.merchant, livemode=False, psp_account=shop.account, actor=CHECKOUT_ACTOR
    )
    confirm_intent(
        CommandRequest(caller),
        intent_id=visitor.intent.pk,
        payment_method=token,
        confirmation=Confirmation(),
    )


@pytest.mark.parametrize(
    "body",
    [
        {"method": "card", "token": "4242424242424242", "attempt": 1},
        {"method": "card", "token": "pm_card_visa", "attempt": "1"},
        {"method": "card", "token": "", "attempt": 1},
        {"method": "ideal", "token": "pm_card_visa", "attempt": 1},
        {"method": "sepa_debit", "token": "pm_sepaDebit_success", "attempt": 1},
        {"method": "card", "token": "pm_card_nothing", "attempt": 1},
        {"method": "card", "token": "pm_card_visa", "attempt": 1, "alternatives": ["pm_card_visa"]},
        {"method": "card", "token": "pm_card_visa", "attempt": 1, "alternatives": {"sandbox": ""}},
        [],
    ],
)
def test_what_the_page_would_not_send_charges_nothing(shop: Shop, body: object) -> None:
    visitor = visit(shop)
    answer = Client().post(f"{visitor.base}/pay", json.dumps(body), "application/json")
    assert answer.status_code == 400 or answer.json()["message"]
    assert "4242424242424242" not in answer.content.decode()
    assert visitor.effects() == []
    assert not PaymentMethod.objects.exists()
    assert visitor.shown() == "pay"


def test_other_sites_and_forms_cannot_pay(shop: Shop) -> None:
    visitor = visit(shop)
    body = json.dumps({"method": "card", "token": "pm_card_visa", "attempt": 1})
    path, json_type = f"{visitor.base}/pay", "application/json"
    for answer in (
        Client().post(path, body, json_type, headers={"Sec-Fetch-Site": "cross-site"}),
        Client().post(path, body, "text/plain"),
    ):
        assert answer.status_code == 400
    assert Client().get(path).status_code == 405
    assert visitor.effects() == []


def test_the_page_frames_the_psp_alone_and_is_not_kept(shop: Shop) -> None:
    page = visit(shop).look()
    policy = page["Content-Security-Policy"]
    assert f"frame-src {shop.psp.base_url};" in policy
    for rule in ("default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"):
        assert rule in policy
    assert page["Cache-Control"] == "no-store"
    assert page["Referrer-Policy"] == "no-referrer"
    assert f'payment=(self "{shop.psp.base_url}")' in page["Permissions-Policy"]
    assert not page.cookies
    text = page.content.decode()
    assert "<script>" not in text, "no script but the one file"
    assert text.count("<script ") == 1
    for asset in (STYLE, SCRIPT):
        assert f'"{asset.url}" integrity="{asset.integrity}"' in text
        answer = Client().get(asset.url)
        assert (answer.content, answer["Cache-Control"][-9:]) == (asset.content, "immutable")
    assert Client().get(SCRIPT.url.replace("checkout.js", "other.js")).status_code == 404


def test_the_language_is_the_sessions_or_the_browsers(shop: Shop) -> None:
    visitor = visit(shop)
    german = visitor.look(**{"Accept-Language": "fr, de-CH;q=0.8, en;q=0.7"})
    assert german["Content-Language"] == "de"
    assert "12,50 € bezahlen" in german.content.decode().replace("\xa0", " ")
    fixed = visit(shop, locale="en", metadata={}).look(**{"Accept-Language": "de"})
    assert "Pay €12.50" in fixed.content.decode()


def test_names_of_goods_are_text_and_an_unknown_address_is_a_page(shop: Shop) -> None:
    price = {"currency": "eur", "product_data": {"name": "<b>&"}, "unit_amount": 900}
    text = visit(shop, line_items=[{"price_data": price}]).look().content.decode()
    assert "&lt;b&gt;&amp;" in text
    for address in ("/checkout/nothing", f"/checkout/{'x' * 32}", f"/checkout/{'x' * 32}/return"):
        page = Client().get(address)
        assert (page.status_code, page["Cache-Control"]) == (404, "no-store")
        assert "leads nowhere" in page.content.decode()


def test_without_the_psp_the_page_still_offers_what_needs_no_fields(shop: Shop) -> None:
    visitor = visit(shop)
    shop.psp.set_behavior(down=1.0)
    assert visitor.look().status_code == 200


def test_a_manual_capture_offers_no_bank_transfer(shop: Shop) -> None:
    both = visit(shop).look().content.decode()
    other = {"order_id": f"{shop.order_id}-held"}
    held = visit(shop, payment_intent_data={"capture_method": "manual"}, metadata=other)
    assert 'value="ideal"' in both
    assert 'value="ideal"' not in held.look().content.decode()
    assert held.pay("", method="ideal")["message"]
    assert held.effects() == []
