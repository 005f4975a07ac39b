"""A setup that certainly kept nothing goes on at the next account, and only then."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest

from payments.models import Event, PaymentMethod, PspAccount, RoutingDecision, SetupAttempt
from payments.services.commands import further_accounts
from payments.services.psp_gateway import accounts
from payments.services.recovery.setups import resolve_due_setups
from payments.services.routing.rules import forget_rules
from payments.states import PspAccountStatus
from payments.tests.checkout.visits import Visit
from payments.tests.support.api_client import ApiClient, Reply, api_of
from payments.tests.support.factories import NOWHERE, credentials_of, set_credentials
from payments.tests.support.shop import Shop, another_account, fail_over, uuid_of

PATH = "/v1/setup_intents"
BUSY = {"code": "card_declined", "decline_code": "try_again_later", "message": "Try again later."}


@pytest.fixture(autouse=True)
def no_rules_afterwards() -> Iterator[None]:
    yield
    forget_rules()


@pytest.fixture
def second(shop: Shop) -> PspAccount:
    account = another_account(shop)
    fail_over(shop, account)
    return account


@pytest.fixture
def api(shop: Shop, second: PspAccount) -> ApiClient:
    return api_of(shop)


def script(shop: Shop, account: PspAccount, plan: dict[str, object]) -> None:
    """Let one setup at the account go so."""
    shop.psp.script(plan, api_key=credentials_of(account)["api_key"], kind="setup")


def set_up(api: ApiClient, token: str = "pm_card_visa", **more: object) -> Reply:
    return api.post(PATH, payment_method=token, confirm=True, **more)


def attempts() -> list[tuple[str, str]]:
    rows = SetupAttempt.objects.select_related("psp_account").order_by("id")
    return [(each.psp_account.code, each.status) for each in rows]


def decisions() -> list[tuple[str, str]]:
    rows = RoutingDecision.objects.select_related("psp_account").order_by("sequence")
    return [(each.psp_account.code, each.reason) for each in rows]


def events_of(setup_id: str) -> list[str]:
    rows = Event.objects.filter(aggregateid=uuid_of(setup_id)).order_by("seq")
    return list(rows.values_list("type", flat=True))


def test_a_decline_that_is_not_the_cards_goes_on_and_the_method_belongs_to_who_kept_it(
    shop: Shop, api: ApiClient, second: PspAccount
) -> None:
    customer = api.post("/v1/customers", name="Ada").body["id"]
    script(shop, shop.account, {"decline": BUSY})
    made = set_up(api, customer=customer, key="once")
    assert (made.status, made.body["status"]) == (200, "succeeded")
    assert attempts() == [(shop.account.code, "DECLINED"), (second.code, "SUCCEEDED")]
    assert decisions() == [
        (shop.account.code, "default_account"),
        (second.code, "retriable_decline"),
    ]
    assert events_of(made.body["id"]) == ["setup_intent.created", "setup_intent.succeeded"]
    kept = PaymentMethod.objects.get(customer__isnull=False)
    assert (kept.psp_account, kept.public_id) == (second, made.body["payment_method"])
    [last, first] = api.get("/v1/setup_attempts", setup_intent=made.body["id"]).body["data"]
    assert (first["setup_error"]["decline_code"], last["status"]) == (
        "try_again_later",
        "succeeded",
    )
    repeat = set_up(api, customer=customer, key="once")
    assert (repeat.body, len(attempts())) == (made.body, 2)
    paid = api.post(
        "/v1/payment_intents",
        amount=1000,
        currency="usd",
        customer=customer,
        payment_method=kept.public_id,
        confirm=True,
        off_session=True,
    ).body
    assert (paid["status"], shop.intent(paid["id"]).psp_account) == ("succeeded", second)


def test_a_setup_that_was_not_sent_goes_on(shop: Shop, api: ApiClient, second: PspAccount) -> None:
    setup_id = api.post(PATH, payment_method="pm_card_visa").body["id"]
    set_credentials(shop.account, base_url=NOWHERE)
    assert api.post(f"{PATH}/{setup_id}/confirm").body["status"] == "succeeded"
    assert attempts() == [(shop.account.code, "NOT_SENT"), (second.code, "SUCCEEDED")]
    assert decisions()[-1] == (second.code, "not_sent")


@pytest.mark.parametrize("said", ["do_not_honor", "stolen_card", "never_seen_before"])
def test_a_hard_decline_is_final(shop: Shop, api: ApiClient, said: str) -> None:
    script(shop, shop.account, {"decline": BUSY | {"decline_code": said}})
    declined = set_up(api)
    assert (declined.status, declined.error["decline_code"]) == (402, said)
    assert attempts() == [(shop.account.code, "DECLINED")]
    assert events_of(declined.error["setup_intent"]["id"])[-1] == "setup_intent.setup_failed"


@pytest.mark.parametrize("behavior", ["drop_before", "drop_after"])
def test_an_unknown_outcome_never_goes_on_however_it_ends(
    shop: Shop, api: ApiClient, second: PspAccount, behavior: str
) -> None:
    script(shop, shop.account, {behavior: 1})
    assert set_up(api).body["status"] == "processing"
    script(shop, shop.account, {"decline": BUSY})
    SetupAttempt.objects.update(
        lease_until="2000-01-01T00:00:00Z", next_check_at="2000-01-01T00:00:00Z"
    )
    resolve_due_setups()
    [(account, status)] = attempts()
    assert account == shop.account.code
    assert status in ("SUCCEEDED", "DECLINED")


def test_no_other_account_that_can_keep_it_ends_the_setup_and_says_why(
    shop: Shop, api: ApiClient, second: PspAccount
) -> None:
    made = api.post(PATH, payment_method="pm_card_visa").body
    PspAccount.objects.filter(pk=second.pk).update(status=PspAccountStatus.PAUSED)
    accounts.forget_row(second.pk)
    script(shop, shop.account, {"decline": BUSY})
    declined = api.post(f"{PATH}/{made['id']}/confirm")
    assert (declined.status, attempts()) == (402, [(shop.account.code, "DECLINED")])
    last = RoutingDecision.objects.order_by("-sequence")[0]
    assert last.candidates[-1] == {
        "account": second.code,
        "reason": "fallback",
        "left_out": "paused",
    }


def test_at_most_three_accounts_are_tried_and_the_end_is_told_once(shop: Shop) -> None:
    others = [another_account(shop) for _ in range(3)]
    fail_over(shop, *others)
    for each in (shop.account, *others):
        script(shop, each, {"decline": BUSY})
    declined = set_up(api_of(shop))
    assert (declined.status, attempts()) == (
        402,
        [(each.code, "DECLINED") for each in (shop.account, *others[:2])],
    )
    failed = ["setup_intent.created", "setup_intent.setup_failed"]
    assert events_of(declined.error["setup_intent"]["id"]) == failed


def test_no_further_account_is_tried_when_the_requests_time_is_nearly_over(
    shop: Shop, api: ApiClient
) -> None:
    script(shop, shop.account, {"decline": BUSY})
    soon = math.ceil(further_accounts.ATTEMPT_SECONDS) - 1
    declined = set_up(api, headers={"Prefer": f"wait={soon}"})
    assert (declined.status, attempts()) == (402, [(shop.account.code, "DECLINED")])


def test_the_alternative_that_a_page_collected_is_kept_at_its_account(
    shop: Shop, second: PspAccount
) -> None:
    made = api_of(shop).post(
        "/v1/checkout/sessions", mode="setup", success_url="https://shop.example/thanks"
    )
    script(shop, shop.account, {"decline": BUSY})
    visitor = Visit(shop, made.body["id"], made.body["url"])
    told = visitor.pay("pm_card_mastercard", alternatives={second.code: "pm_card_amex"})
    assert told["state"] == "succeeded", told
    tokens = SetupAttempt.objects.order_by("id").values_list("token", flat=True)
    assert list(tokens) == ["pm_card_mastercard", "pm_card_amex"]
    assert attempts()[-1] == (second.code, "SUCCEEDED")


def test_a_debit_stays_at_its_account(shop: Shop, api: ApiClient) -> None:
    script(shop, shop.account, {"decline": BUSY})
    acceptance = {
        "type": "online",
        "online": {"ip_address": "203.0.113.7", "user_agent": "Mozilla/5.0"},
    }
    declined = set_up(api, "pm_sepaDebit_success", mandate_data={"customer_acceptance": acceptance})
    assert (declined.status, attempts()) == (402, [(shop.account.code, "DECLINED")])


def test_a_setup_that_reached_no_account_may_be_repeated(
    shop: Shop, api: ApiClient, second: PspAccount
) -> None:
    own_url = credentials_of(shop.account)["base_url"]
    set_up(api)  # So that both accounts have described the token.
    script(shop, shop.account, {"decline": BUSY})
    set_up(api)
    for account in (shop.account, second):
        set_credentials(account, base_url=NOWHERE)
    failed = set_up(api, key="again")
    assert failed.status == 503
    assert [status for _, status in attempts()][-2:] == ["NOT_SENT", "NOT_SENT"]
    for account in (shop.account, second):
        set_credentials(account, base_url=own_url)
    assert set_up(api, key="again").body["status"] == "succeeded"
