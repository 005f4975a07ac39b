"""The checkout page in a real browser: it pays once, says what happened, and learns no card."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from payments.tests.http.support.checkout import (
    CARD_CHALLENGED_AT_SETUP,
    CHALLENGED_CARD,
    DECLINED_CARD,
    GOOD_CARD,
    PRICE,
    SHOP,
    Customer,
    open_session,
    started_browser,
    take_shot,
    why_no_browser,
)
from payments.tests.http.support.storefront import Storefront, new_order
from psp_adapters.contract.card_numbers import holds_card_number

pytestmark = pytest.mark.skipif(bool(why_no_browser()), reason=why_no_browser())

SALE = [("authorize", 1250), ("capture", 1250)]


@pytest.fixture(scope="module", autouse=True)
def orm_beside_the_browser() -> Iterator[None]:
    """Playwright keeps an event loop in this thread; Django would refuse its queries there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        yield


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with started_browser() as browser:
        yield browser


@pytest.fixture
def new_customer(browser: Any, storefront: Storefront) -> Iterator[Callable[..., Customer]]:
    """Make a customer; afterwards, none of them has told the platform a card number."""
    made: list[Customer] = []

    def new(**settings: Any) -> Customer:
        made.append(Customer.of(browser, storefront.server.base_url, **settings))
        return made[-1]

    yield new
    for customer in made:
        assert customer.sent, "the requests are recorded"
        assert not [each for each in customer.sent if holds_card_number(each)]
        assert customer.refused_by_policy == []
        customer.context.close()


def test_a_card_pays_and_the_customer_is_back_in_the_shop(
    storefront: Storefront, new_customer: Callable[..., Customer]
) -> None:
    session = open_session(storefront)
    tab = new_customer().open(session.url)
    assert tab.state == "pay"
    tab.pay_by_card(GOOD_CARD)
    assert tab.is_at_shop() == f"/thanks?session={session.id}"
    assert storefront.effects() == SALE
    paid = storefront.stripe.v1.checkout.sessions.retrieve(session.id)
    assert (paid.status, paid.payment_status, paid.url) == ("complete", "paid", None)


def test_a_declined_card_is_told_and_another_one_pays(
    storefront: Storefront, new_customer: Callable[..., Customer]
) -> None:
    tab = new_customer().open(open_session(storefront).url)
    tab.pay_by_card("4242 4242 4242 4241")
    invalid = tab.page.frame_locator("#fields").get_by_text("not valid")
    invalid.wait_for(state="visible")
    tab.pay_by_card(DECLINED_CARD)
    assert "not enough money" in tab.message()
    assert storefront.effects() == []
    tab.page.reload()
    assert "not enough money" in tab.message(), "a reload says so too"
    tab.pay_by_card(GOOD_CARD)
    tab.is_at_shop()
    assert storefront.effects() == SALE


def test_a_card_saved_on_the_page_is_charged_later_without_its_customer(
    storefront: Storefront, new_customer: Callable[..., Customer]
) -> None:
    api = storefront.stripe.v1
    customer = api.customers.create({"name": "Ada"})
    session = api.checkout.sessions.create(
        {"mode": "setup", "customer": customer.id, "success_url": f"{SHOP}/account"}
    )
    tab = new_customer().open(session.url)
    tab.pay_by_card(DECLINED_CARD)
    assert "It was not saved" in tab.message()
    tab.pay_by_card(CARD_CHALLENGED_AT_SETUP)
    tab.page.get_by_role("button", name="Complete").click()
    assert tab.is_at_shop() == "/account"
    [card] = api.customers.payment_methods.list(customer.id).data
    storefront.order_id = new_order()
    paid = api.payment_intents.create(
        {
            "amount": 1250,
            "currency": "eur",
            "confirm": True,
            "off_session": True,
            "customer": customer.id,
            "payment_method": card.id,
            "metadata": {"order_id": storefront.order_id},
        }
    )
    assert paid.status == "succeeded"
    assert storefront.effects() == SALE


@pytest.mark.parametrize(("locale", "other"), [("en", "Another card"), ("de", "Andere Karte")])
def test_a_saved_card_pays_by_keyboard_and_another_one_can_be_entered(
    storefront: Storefront, new_customer: Callable[..., Customer], locale: str, other: str
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    api = storefront.stripe.v1
    customer = api.customers.create({"name": "Ada"})
    card = api.payment_methods.attach("pm_card_visa", {"customer": customer.id})
    api.payment_methods.update(card.id, {"allow_redisplay": "always"})
    session = open_session(storefront, customer=customer.id, locale=locale)
    tab = new_customer().open(session.url)
    saved = tab.page.get_by_role("radio", name="4242")
    assert saved.is_checked()
    assert not tab.page.locator("#fields").is_visible()
    saved.press("ArrowDown")
    assert tab.page.get_by_role("radio", name=other).is_checked()
    tab.page.frame_locator("#fields").locator("#number").wait_for(state="visible")
    found = axe.run(tab.page).response["violations"]
    assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == []
    take_shot(tab.page, f"saved-{locale}")
    tab.page.get_by_role("radio", name=other).press("ArrowUp")
    saved.press("Enter")
    tab.is_at_shop()
    assert storefront.effects() == SALE


def test_a_challenge_leads_to_the_bank_and_back(
    storefront: Storefront, new_customer: Callable[..., Customer]
) -> None:
    session = open_session(storefront)
    customer = new_customer()
    tab = customer.open(session.url)
    tab.pay_by_card(CHALLENGED_CARD)
    tab.wait_for(lambda url: "/challenge/" in url)
    # A redirect that never returned: the page says how to go on.
    second = customer.open(session.url)
    assert second.state == "challenge"
    second.page.get_by_role("link", name="Continue to your bank").click()
    second.page.get_by_role("button", name="Complete").click()
    second.is_at_shop()
    assert storefront.effects() == SALE
    tab.page.goto(session.url)
    assert tab.state == "succeeded"


def test_a_bank_is_chosen_on_the_page_of_the_psp_and_a_failure_leads_back(
    storefront: Storefront, new_customer: Callable[..., Customer]
) -> None:
    session = open_session(storefront, locale="de")
    tab = new_customer().open(session.url)
    tab.page.get_by_label("iDEAL").check()
    tab.pay()
    tab.page.get_by_role("button", name="Fail").click()
    tab.wait_for(session.url)
    assert "bei Ihrer Bank nicht bestätigt" in tab.message()
    tab.page.get_by_label("iDEAL").check()
    tab.pay()
    tab.page.get_by_role("button", name="Complete").click()
    tab.is_at_shop()
    assert storefront.effects() == SALE


def test_an_account_is_debited_and_the_page_learns_the_late_result(
    storefront: Storefront, new_customer: Callable[..., Customer]
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    link = storefront.stripe.v1.payment_links.create(
        {"line_items": [{"price_data": PRICE, "quantity": 1}]}  # type: ignore[dict-item]
    )
    tab = new_customer().open(link.url)
    tab.page.get_by_label("Direct debit (SEPA)").check()
    account = tab.page.frame_locator("#sepa_debit-fields").get_by_label("IBAN")
    account.fill("DE89370400440532013001")
    tab.pay()
    tab.page.frame_locator("#sepa_debit-fields").get_by_text("not valid").wait_for()
    found = axe.run(tab.page).response["violations"]
    assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == []
    assert tab.page.get_by_text("authorize").is_visible()
    account.fill("DE89 3704 0044 0532 0130 00")
    tab.pay()
    tab.page.get_by_text("your bank is processing this").wait_for()
    storefront.psp.advance(3)
    storefront.settle()
    tab.page.get_by_text("this is paid").wait_for()


def test_a_message_of_another_window_or_origin_is_not_listened_to(
    storefront: Storefront, new_customer: Callable[..., Customer]
) -> None:
    customer = new_customer()
    tab = customer.open(open_session(storefront).url)
    tab.fill_card(GOOD_CARD)
    for kind in ("submit", "token", "height"):
        tab.page.evaluate(
            "kind => postMessage({kind, id: '1', token: 'tok_x', height: 1}, '*')", kind
        )
    tab.page.wait_for_timeout(500)
    assert not [each for each in customer.sent if each.startswith("POST")]
    tab.pay()
    tab.is_at_shop()
    assert storefront.effects() == SALE


def test_two_tabs_pay_once(storefront: Storefront, new_customer: Callable[..., Customer]) -> None:
    session = open_session(storefront)
    customer = new_customer()
    first, second = customer.open(session.url), customer.open(session.url)
    for tab in (first, second):
        tab.fill_card(GOOD_CARD)
    storefront.psp.script({"hold": True}, order_id=storefront.order_id, kind="authorize")
    first.pay()
    # Were the second tab the faster one, it would wait for the PSP, which is released only then.
    for _ in range(200):
        if storefront.operations().exists():
            break
        first.page.wait_for_timeout(50)
    second.pay()
    second.page.get_by_text("We are checking your payment").wait_for()
    storefront.psp.release()
    first.is_at_shop()
    second.is_at_shop()
    assert storefront.effects() == SALE


def test_an_answer_that_is_lost_is_waited_for(
    storefront: Storefront, new_customer: Callable[..., Customer]
) -> None:
    tab = new_customer().open(open_session(storefront).url)
    storefront.psp.script({"drop_after": 1}, order_id=storefront.order_id, kind="authorize")
    tab.pay_by_card(GOOD_CARD)
    tab.page.get_by_text("We are checking your payment").wait_for()
    storefront.settle()
    tab.is_at_shop()
    assert storefront.effects() == SALE


def test_a_psp_that_is_down_takes_nothing_and_the_same_page_pays_once_afterwards(
    storefront: Storefront, new_customer: Callable[..., Customer]
) -> None:
    customer = new_customer()
    tab = customer.open(open_session(storefront).url)
    tab.fill_card(GOOD_CARD)
    storefront.psp.set_behavior(down=1.0)
    tab.pay()
    assert "Nothing was taken" in tab.message()
    storefront.psp.heal()
    assert storefront.effects() == []
    tab.pay_by_card(GOOD_CARD)
    tab.is_at_shop()
    assert storefront.effects() == SALE


def test_an_expired_page_takes_nothing(
    storefront: Storefront, new_customer: Callable[..., Customer]
) -> None:
    session = open_session(storefront)
    tab = new_customer().open(session.url)
    tab.fill_card(GOOD_CARD)
    storefront.stripe.v1.checkout.sessions.expire(session.id)
    tab.pay()
    tab.page.get_by_text("This page has expired").wait_for()
    tab.page.get_by_role("link", name="Back to the shop").click()
    assert tab.is_at_shop() == "/basket"
    assert storefront.effects() == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_state_of_the_page_has_a_serious_barrier(
    storefront: Storefront, new_customer: Callable[..., Customer], scheme: str
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    customer = new_customer(color_scheme=scheme)
    session = open_session(storefront)
    tab = customer.open(session.url)
    tab.page.frame_locator("#fields").get_by_label("Card number").wait_for()
    seen = {"pay": tab.page}
    tab.pay_by_card(DECLINED_CARD)
    tab.message()
    challenged = open_session(storefront)
    other = customer.open(challenged.url)
    other.pay_by_card(CHALLENGED_CARD)
    other.wait_for(lambda url: "/challenge/" in url)
    seen["challenge"] = customer.open(challenged.url).page
    storefront.stripe.v1.checkout.sessions.expire(challenged.id)
    seen["expired"] = customer.open(challenged.url).page
    seen["not_found"] = customer.open(f"{storefront.server.base_url}/checkout/nothing").page
    found = {}
    for name, page in seen.items():
        for barrier in axe.run(page).response["violations"]:
            if barrier["impact"] in ("serious", "critical"):
                found[f"{name}: {barrier['id']}"] = barrier["nodes"][0]["html"]
    assert found == {}
    assert SHOP
