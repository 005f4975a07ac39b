"""Card fields that a PSP's script brings: in a real browser, against a double of the scripts."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from payments.models import Merchant, PspAccount
from payments.services.commands.operators import merchants
from payments.tests.http.support.checkout import (
    GOOD_CARD,
    Customer,
    Tab,
    open_session,
    started_browser,
    take_shot,
    why_no_browser,
)
from payments.tests.http.support.servers import ApiServer
from payments.tests.http.support.storefront import Storefront
from payments.tests.support.factories import TESTS, PspAccountFactory, set_credentials
from psp_adapters.contract.card_numbers import holds_card_number
from psp_adapters.sandbox.adapter import SandboxAdapter
from psp_adapters.tests.support.adyen_cards import ENCRYPTED
from psp_adapters.tests.support.adyen_face import ACCOUNT, HMAC_KEY, AdyenFace
from psp_adapters.tests.support.adyen_face import API_KEY as ADYEN_KEY
from psp_adapters.tests.support.fields_double import FieldsDouble
from psp_adapters.tests.support.localstripe_process import API_KEY, LocalStripe
from psp_adapters.tests.support.mollie_face import MollieFace
from psp_adapters.tests.support.receiver import SECRET
from psp_adapters.tests.support.sandbox_process import SandboxProcess

pytestmark = pytest.mark.skipif(bool(why_no_browser()), reason=why_no_browser())

CHARGE_FAILS = "4000 0000 0000 0341"
Open = Callable[[str], Storefront]


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
def double() -> Iterator[FieldsDouble]:
    with FieldsDouble(lambda number: f"tkn_{number[-4:]}") as double:
        yield double


@pytest.fixture
def customer(browser: Any, server: ApiServer) -> Iterator[Customer]:
    """Afterwards nothing was told to the platform that holds a card number."""
    customer = Customer.of(browser, server.base_url)
    yield customer
    assert customer.sent
    assert not [each for each in customer.sent if holds_card_number(each)]
    assert customer.refused_by_policy == []
    customer.context.close()


def storefront_at(server: ApiServer, psp: SandboxProcess, account: PspAccount) -> Storefront:
    merchant = Merchant.objects.create(name="Storefront", test_psp_account=account)
    _, secret_key = merchants.issue_api_key(merchant=merchant, livemode=False, author=TESTS)
    return Storefront(server, psp, merchant, secret_key)


@pytest.fixture
def at_stripe(
    server: ApiServer,
    sandbox_psp: SandboxProcess,
    same_database: None,
    localstripe: LocalStripe,
    double: FieldsDouble,
) -> Storefront:
    """A merchant at localstripe, whose fields are the double's."""
    double.token_of = localstripe.card_token
    account = PspAccountFactory.create(code=f"stripe-{uuid.uuid4().hex[:12]}", psp="stripe")
    set_credentials(
        account,
        base_url=localstripe.proxy.base_url,
        api_key=API_KEY,
        publishable_key="pk_test_double",
        fields_origin=double.origin,
        wallets="true",
    )
    return storefront_at(server, sandbox_psp, account)


@pytest.fixture
def at_mollie(
    server: ApiServer, sandbox_psp: SandboxProcess, same_database: None, double: FieldsDouble
) -> Iterator[Storefront]:
    """A merchant at a face of the sandbox PSP that speaks as Mollie."""
    face = MollieFace(sandbox_psp.base_url)
    double.token_of = lambda number: "tkn_visa"
    account = PspAccountFactory.create(code=f"mollie-{uuid.uuid4().hex[:12]}", psp="mollie")
    set_credentials(
        account,
        api_key=f"test_{uuid.uuid4().hex}",
        base_url=face.base_url,
        webhook_url=f"https://pay.example/psp/{account.code}/webhook",
        webhook_secrets=SECRET,
        profile_id="pfl_double",
        fields_origin=double.origin,
    )
    yield storefront_at(server, sandbox_psp, account)
    face.close()


@pytest.fixture
def at_adyen(
    server: ApiServer, sandbox_psp: SandboxProcess, same_database: None, double: FieldsDouble
) -> Iterator[Storefront]:
    """A merchant at a face of the sandbox PSP that speaks as Adyen."""
    double.token_of = lambda number: f"{ENCRYPTED}pm_card_visa"
    api_key = f"sandbox_test_{uuid.uuid4().hex}"
    behind = SandboxAdapter(base_url=sandbox_psp.base_url, api_key=api_key)
    with AdyenFace(behind) as face:
        account = PspAccountFactory.create(code=f"adyen-{uuid.uuid4().hex[:12]}", psp="adyen")
        set_credentials(
            account,
            api_key=ADYEN_KEY,
            merchant_account=ACCOUNT,
            base_url=face.base_url,
            webhook_secrets=HMAC_KEY,
            client_key="test_DOUBLE123",
            store_cards="true",
            fields_origin=double.origin,
        )
        yield storefront_at(server, sandbox_psp, account)
    behind.close()


def test_adyens_fields_pay_with_what_they_encrypt(
    at_adyen: Storefront, customer: Customer, double: FieldsDouble
) -> None:
    tab = customer.open(open_session(at_adyen).url)
    tab.page.frame_locator("#fields iframe").get_by_label("Card number").wait_for()
    take_shot(tab.page, "adyen")
    tab.pay()
    tab.page.frame_locator("#fields iframe").get_by_text("is incomplete").wait_for()
    fill(tab, GOOD_CARD)
    tab.page.wait_for_timeout(500)  # The fields tell the component what they encrypt.
    tab.pay()
    tab.is_at_shop()
    assert at_adyen.effects() == [("authorize", 1250), ("capture", 1250)]
    assert {each.rpartition("/")[2] for each in double.loaded} >= {"adyen.js", "adyen.css"}


def fill(tab: Tab, number: str) -> None:
    fields = tab.page.frame_locator("#fields iframe")
    fields.get_by_label("Card number").fill(number)
    fields.get_by_label("Expiry").fill("12 / 34")
    fields.get_by_label("Security code").fill("123")


def test_stripes_fields_pay_after_what_the_customer_corrects_and_a_decline(
    at_stripe: Storefront, customer: Customer, double: FieldsDouble, localstripe: LocalStripe
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    tab = customer.open(open_session(at_stripe).url)
    fill(tab, "4242")
    take_shot(tab.page, "stripe")
    tab.pay()
    frame = tab.page.frame_locator("#fields iframe")
    frame.get_by_text("Your card number is incomplete.").wait_for(state="visible")
    found = axe.run(tab.page).response["violations"]
    assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == []
    assert tab.page.locator("html").get_attribute("data-wallets") == "auto"
    fill(tab, CHARGE_FAILS)
    tab.pay()
    assert "Nothing was taken" in tab.message()
    take_shot(tab.page, "stripe-declined")
    fill(tab, GOOD_CARD)
    tab.pay()
    tab.is_at_shop()
    assert {"/v3/", "/frame"} <= set(double.loaded)
    listed = localstripe.call("GET", "/v1/payment_intents?limit=1000")["data"]
    statuses = [
        each["status"] for each in listed if each["metadata"].get("order_id") == at_stripe.order_id
    ]
    assert statuses.count("succeeded") == 1


def test_a_page_whose_psp_script_does_not_come_says_so_and_takes_nothing(
    at_stripe: Storefront, customer: Customer, double: FieldsDouble
) -> None:
    double.is_down = True
    tab = customer.open(open_session(at_stripe).url)
    assert "cannot be loaded right now" in tab.message()
    take_shot(tab.page, "stripe-down")
    tab.pay()
    assert tab.message()
    assert not [each for each in customer.sent if each.startswith("POST")]
    double.is_down = False
    tab.pay()
    tab.page.frame_locator("#fields iframe").get_by_text("is incomplete").wait_for()
    fill(tab, GOOD_CARD)
    tab.pay()
    tab.is_at_shop()


def test_beside_a_saved_card_stripes_script_comes_once_a_new_one_is_chosen(
    at_stripe: Storefront, customer: Customer, double: FieldsDouble
) -> None:
    api = at_stripe.stripe.v1
    owner = api.customers.create({"name": "Ada"})
    card = api.payment_methods.attach("pm_card_visa", {"customer": owner.id})
    api.payment_methods.update(card.id, {"allow_redisplay": "always"})
    tab = customer.open(open_session(at_stripe, customer=owner.id).url)
    assert tab.page.get_by_role("radio", name="4242").is_checked()
    assert double.loaded == []
    tab.page.get_by_role("radio", name="Another card").check()
    fill(tab, GOOD_CARD)
    take_shot(tab.page, "stripe-saved")
    tab.pay()
    tab.is_at_shop()
    assert double.loaded == ["/v3/", "/frame"]


def test_mollies_fields_pay(at_mollie: Storefront, customer: Customer) -> None:
    tab = customer.open(open_session(at_mollie).url)
    tab.page.frame_locator("#fields iframe").get_by_label("Card number").wait_for()
    take_shot(tab.page, "mollie")
    tab.pay()
    assert "incomplete" in tab.message()
    fill(tab, GOOD_CARD)
    tab.pay()
    tab.is_at_shop()
    assert at_mollie.effects() == [("authorize", 1250), ("capture", 1250)]
