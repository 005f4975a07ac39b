"""A change of a PSP account is seen by every process within seconds, and costs no statement."""

from __future__ import annotations

import logging
import time
from typing import Any

import pytest

from payments.models import PspAccount
from payments.services.psp_gateway import accounts, credentials
from payments.tests.support.api_client import api_of
from payments.tests.support.factories import (
    PspAccountFactory,
    credentials_of,
    lose_credentials,
    set_credentials,
)
from payments.tests.support.shop import Shop
from psp_adapters.registry import BadCredentials

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are kept for as long as the test takes."""
    monkeypatch.setattr(accounts, "ROW_SECONDS", 600.0)


def test_a_changed_setting_of_an_account_is_seen_within_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The API keeps the account that it read with a key for two seconds more.
    assert accounts.ROW_SECONDS + 2 <= accounts.SEEN_WITHIN_SECONDS == 5
    monkeypatch.setattr(accounts, "ROW_SECONDS", 0.2)
    account = PspAccountFactory.create(settlement_delay_days=2)
    assert accounts.psp_account_of(account.id).settlement_delay_days == 2
    account.settlement_delay_days = 7
    account.save(update_fields=["settlement_delay_days"])
    time.sleep(0.25)
    assert accounts.psp_account_of(account.id).settlement_delay_days == 7


def test_reading_an_account_again_soon_costs_no_statement(
    slow_machine: None, django_assert_num_queries: Any
) -> None:
    account = PspAccountFactory.create()
    accounts.forget_accounts()
    with django_assert_num_queries(1):
        for _ in range(3):
            assert accounts.psp_account_of(account.id).code == account.code
            assert accounts.identity_of(account.id).psp == account.psp
            assert accounts.adapter_of(account).name == account.psp


def test_the_row_that_came_with_an_api_key_is_used_and_an_older_one_never_replaces_it(
    shop: Shop, slow_machine: None, django_assert_num_queries: Any
) -> None:
    accounts.forget_accounts()
    assert api_of(shop).get("/v1/balance").status == 200
    with django_assert_num_queries(0):
        known = accounts.psp_account_of(shop.account.id)
    old = PspAccount(pk=shop.account.pk, code="old")
    accounts.remember(old, read_at=time.monotonic() - 60)
    assert accounts.psp_account_of(shop.account.id) is known


def test_an_adapter_is_kept_until_the_credentials_change(shop: Shop) -> None:
    first = accounts.adapter_of(shop.account)
    PspAccount.objects.filter(pk=shop.account.pk).update(hold_days=9)
    accounts._rows.clear()
    assert accounts.adapter_of(shop.account) is first
    row = PspAccount.objects.get(pk=shop.account.pk)
    changed = {**credentials_of(row), "webhook_secrets": "a secret of a test"}
    row.sealed_credentials = credentials.seal_credentials(row.code, changed)
    row.save(update_fields=["sealed_credentials"])
    accounts._rows.clear()
    assert accounts.adapter_of(shop.account) is not first
    assert accounts.webhook_secrets_of(accounts.identity_of(row.id)) == ("a secret of a test",)


def test_credentials_of_another_account_or_key_are_not_used_and_name_no_value(
    shop: Shop, other_shop: Shop
) -> None:
    theirs = PspAccount.objects.get(pk=other_shop.account.pk).sealed_credentials
    PspAccount.objects.filter(pk=shop.account.pk).update(sealed_credentials=theirs)
    accounts.forget_accounts()
    with pytest.raises(BadCredentials, match="stored for another account"):
        accounts.adapter_of(shop.account)
    lose_credentials(shop.account)
    with pytest.raises(BadCredentials, match="SECRETS_ENCRYPTION_KEYS"):
        accounts.adapter_of(shop.account)


def test_without_usable_credentials_nothing_is_sent_and_the_request_may_be_repeated(
    shop: Shop,
) -> None:
    api, credentials_before = api_of(shop), credentials_of(shop.account)
    held = api.pay(capture_method="manual", metadata={"order_id": shop.order_id})["id"]
    calls = len(shop.psp.calls())
    lose_credentials(shop.account)
    pay = {"amount": 500, "currency": "usd", "payment_method": "pm_card_mastercard"}
    refused = api.post("/v1/payment_intents", confirm=True, **pay)
    assert (refused.status, refused.error["code"]) == (503, "service_unavailable")
    captured = api.post(f"/v1/payment_intents/{held}/capture", key="capture")
    assert (captured.status, captured.error["code"]) == (503, "psp_unavailable")
    assert len(shop.psp.calls()) == calls
    set_credentials(shop.account, **credentials_before)
    again = api.post(f"/v1/payment_intents/{held}/capture", key="capture")
    assert again.body["status"] == "succeeded"
    assert len(shop.effects("capture")) == 1


def test_no_representation_and_no_log_shows_a_credential(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    set_credentials(shop.account, webhook_secrets="a secret of a test")
    secrets = credentials_of(shop.account)
    row = PspAccount.objects.get(pk=shop.account.pk)
    connected = credentials.connect(row)
    credentials.require_working(row)
    shown = f"{row!r} {row} {connected!r} {connected.adapter!r} {caplog.text}"
    for secret in (secrets["api_key"], secrets["webhook_secrets"], row.sealed_credentials):
        assert secret not in shown
