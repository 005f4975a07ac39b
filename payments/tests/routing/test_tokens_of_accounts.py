"""Methods and setups find the account of a token, as payments do."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from payments.models import Operation, PaymentMethod, PspAccount, SetupAttempt, SetupIntent
from payments.services.commands import token_search
from payments.services.commands.token_search import SharedTime
from payments.services.psp_gateway import accounts
from payments.services.psp_gateway.credentials import seal_credentials
from payments.states import PspAccountStatus
from payments.tests.routing.rules_of_tests import add_rule, token_of_account
from payments.tests.support.api_client import ApiClient, Reply, api_of
from payments.tests.support.factories import credentials_of
from payments.tests.support.shop import Shop, another_account

METHODS = "/v1/payment_methods"
SETUPS = "/v1/setup_intents"
INTENTS = "/v1/payment_intents"


@pytest.fixture
def other(shop: Shop) -> PspAccount:
    """A second account that payments in yen may go to, so that rules name it."""
    account = another_account(shop)
    add_rule(shop.merchant, (account, 100), currencies=["JPY"])
    return account


@pytest.fixture
def api(shop: Shop) -> ApiClient:
    return api_of(shop)


def new(token: str) -> dict[str, Any]:
    return {"payment_method_data": {"type": "card", "card": {"token": token}}}


def keep(api: ApiClient, token: str, **more: Any) -> Reply:
    return api.post(SETUPS, **new(token), confirm=True, **more)


def take_down(account: PspAccount) -> None:
    """Nothing listens where the account's PSP should be."""
    given = {**credentials_of(account), "base_url": "http://127.0.0.1:1"}
    sealed = seal_credentials(account.code, given)
    PspAccount.objects.filter(pk=account.pk).update(sealed_credentials=sealed)
    accounts.forget_row(account.pk)


def test_each_request_that_takes_a_token_finds_its_account(
    shop: Shop, other: PspAccount, api: ApiClient
) -> None:
    created = api.post(METHODS, type="card", card={"token": token_of_account(other)})
    customer = api.post("/v1/customers").body["id"]
    attached = api.post(f"{METHODS}/{token_of_account(other)}/attach", customer=customer)
    assert (created.status, attached.status) == (200, 200)
    own = api.post(METHODS, type="card", card={"token": "pm_card_visa"})
    rows = PaymentMethod.objects.order_by("id").values_list("psp_account_id", flat=True)
    assert list(rows) == [other.id] * 2 + [shop.account.id]
    for method, account in ((created, other), (own, shop.account)):
        sale = {"amount": 500, "currency": "usd", "confirm": True}
        paid = api.post(INTENTS, **sale, payment_method=method.body["id"])
        assert paid.body["status"] == "succeeded"
        assert Operation.objects.latest("id").psp_account_id == account.id


def test_a_setup_goes_to_the_account_of_its_method_and_moves_with_another_method(
    other: PspAccount, api: ApiClient, shop: Shop, owner_cursor: psycopg.Cursor[Any]
) -> None:
    customer = api.post("/v1/customers").body["id"]
    declined = keep(api, "pm_card_chargeDeclined", customer=customer)
    assert declined.status == 402
    setup = SetupIntent.objects.get()
    assert setup.psp_account_id == shop.account.id
    path = f"{SETUPS}/{setup.public_id}"
    kept = api.post(f"{path}/confirm", **new(token_of_account(other))).body
    assert kept["status"] == "succeeded"
    at = SetupAttempt.objects.order_by("id").values_list("psp_account_id", flat=True)
    assert list(at) == [shop.account.id, other.id]
    later = {"amount": 500, "currency": "usd", "customer": customer, "off_session": True}
    paid = api.post(INTENTS, **later, payment_method=kept["payment_method"], confirm=True)
    assert paid.body["status"] == "succeeded"
    assert Operation.objects.get().psp_account_id == other.id
    with pytest.raises(psycopg.errors.CheckViolation, match="setup_at_other_account"):
        owner_cursor.execute(
            "UPDATE payments_setup_intent SET psp_account_id = %s", [shop.account.id]
        )


def test_an_attempt_elsewhere_than_its_method_is_refused_by_postgresql_too(
    shop: Shop, other: PspAccount, api: ApiClient, owner_cursor: psycopg.Cursor[Any]
) -> None:
    keep(api, "pm_card_chargeDeclined")
    columns = [each.column for each in SetupAttempt._meta.concrete_fields]
    changed = {
        "id": "gen_random_uuid()",
        "psp_key": "'another'",
        "psp_account_id": f"'{other.id}'",
        "status": "'SENDING'",
        "closed_at": "NULL",
        "next_check_at": "now()",
    }
    values = ", ".join(changed.get(each, each) for each in columns)
    with pytest.raises(psycopg.errors.CheckViolation, match="setup_at_other_account"):
        owner_cursor.execute(
            f"INSERT INTO payments_setup_attempt ({', '.join(columns)}) "
            f"SELECT {values} FROM payments_setup_attempt"
        )


def test_a_token_of_no_account_of_the_merchant_is_unknown_and_nothing_is_written(
    shop: Shop, other_shop: Shop, other: PspAccount, api: ApiClient
) -> None:
    foreign = token_of_account(other_shop.account)
    refusals = (
        api.post(METHODS, type="card", card={"token": foreign}),
        keep(api, foreign),
    )
    assert [each.error["code"] for each in refusals] == ["resource_missing"] * 2
    assert not PaymentMethod.objects.exists()
    assert not SetupIntent.objects.exists()


def test_an_account_that_does_not_answer_hides_no_token_of_another(
    shop: Shop, other: PspAccount, api: ApiClient
) -> None:
    token = token_of_account(other)
    take_down(shop.account)
    found = api.post(METHODS, type="card", card={"token": token})
    assert found.status == 200
    assert PaymentMethod.objects.get().psp_account_id == other.id
    unknown = api.post(METHODS, type="card", card={"token": "tok_of_no_account"})
    assert (unknown.status, unknown.error["code"]) == (503, "service_unavailable")
    PspAccount.objects.filter(pk=other.pk).update(status=PspAccountStatus.CLOSING)
    accounts.forget_row(other.pk)
    closing = api.post(METHODS, type="card", card={"token": token_of_account(other)})
    assert closing.status == 503, "an account that is being closed is not asked"
    assert PaymentMethod.objects.count() == 1


def test_look_ups_share_the_time_of_their_request(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    caller = replace(shop.caller(), answer_by_monotonic=103.0)
    shared = SharedTime(caller, look_ups=3)
    assert shared.next_end_monotonic() == 101.0
    now = 100.5
    assert shared.next_end_monotonic() == 101.75
    now = 103.5
    assert shared.next_end_monotonic() == 103.5
    unlimited = SharedTime(replace(caller, answer_by_monotonic=None), look_ups=1)
    assert unlimited.next_end_monotonic() == 103.5 + token_search.LOOKUP_DEADLINE_SECONDS


def test_a_paused_account_says_so_also_while_its_psp_does_not_answer(
    shop: Shop, api: ApiClient
) -> None:
    intent = api.post(INTENTS, amount=500, currency="usd").body["id"]
    take_down(shop.account)
    unreachable = api.post(f"{INTENTS}/{intent}/confirm", **new("tok_new"))
    assert (unreachable.status, unreachable.error["code"]) == (503, "service_unavailable")
    PspAccount.objects.filter(pk=shop.account.pk).update(status=PspAccountStatus.PAUSED)
    accounts.forget_row(shop.account.pk)
    paused = api.post(f"{INTENTS}/{intent}/confirm", **new("tok_new"))
    assert (paused.status, paused.error["code"]) == (400, "payment_provider_paused")
    assert not Operation.objects.exists()
    assert not PaymentMethod.objects.exists()
