"""PSP accounts: checked before they are active; paused and closing ones take no new charge."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from cryptography.fernet import Fernet
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from payments.models import (
    AuditEntry,
    Operation,
    PaymentIntent,
    PspAccount,
    PspNotification,
)
from payments.public_ids import new_id
from payments.services.audit.authors import Author
from payments.services.commands.operators.psp_accounts import (
    change_psp_account,
    close_psp_account,
    create_psp_account,
    pause_psp_account,
    reseal_credentials,
    resume_psp_account,
)
from payments.services.psp_gateway import accounts
from payments.tests.support.api_client import ApiClient, api_of
from payments.tests.support.factories import credentials_of, staff
from payments.tests.support.notices import Hooks
from payments.tests.support.shop import Shop, body_of
from psp_adapters.tests.support.sandbox_process import SandboxProcess

ADA = Author("staff:ada", "a test")
INTENTS = "/v1/payment_intents"
KEY = "sandbox_accounts"

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture(autouse=True)
def ada(database: None) -> None:
    staff("ada")


def create(sandbox: SandboxProcess, **given: Any) -> PspAccount:
    credentials = {"base_url": sandbox.base_url, "api_key": KEY}
    words: dict[str, Any] = {"code": "new", "psp": "sandbox", "livemode": False}
    return create_psp_account(author=ADA, **words | {"given": credentials} | given)


def try_to_pay(api: ApiClient, shop: Shop, **given: Any) -> Any:
    pay = {"amount": 10_000, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True}
    return api.post(INTENTS, metadata={"order_id": shop.order_id}, **pay | given)


def test_an_account_is_active_once_its_psp_took_the_credentials(
    sandbox_psp: SandboxProcess,
) -> None:
    account = create(sandbox_psp, currencies=["EUR"], costs=[{"basis_points": 140}])
    stored = PspAccount.objects.get()
    assert (stored.status, stored.currencies) == ("active", ["EUR"])
    assert credentials_of(account) == {"base_url": sandbox_psp.base_url, "api_key": KEY}
    assert KEY not in stored.sealed_credentials


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"given": {"base_url": "{psp}", "api_key": "of-another-psp"}}, "api_key"),
        ({"given": {"base_url": "{psp}/other", "api_key": KEY}}, "base_url"),
        ({"given": {"base_url": "http://127.0.0.1:1", "api_key": KEY}}, "base_url"),
        ({"given": {"base_url": "{psp}"}}, "api_key is missing"),
        ({"given": {"base_url": "{psp}", "api_key": KEY, "webhook_secrets": "short"}}, "webhook"),
        ({"psp": "stripe", "given": {"api_key": "sk_live_accounts"}}, "a live key"),
        ({"psp": "stripe", "livemode": True, "given": {"api_key": "sk_test_a"}}, "a test key"),
        ({"psp": "unknown"}, "no adapter"),
        ({"methods": ["cash"]}, "has no cash"),
        ({"currencies": ["XXX"]}, "no currency XXX"),
        ({"limits": {"EUR": {"min_minor": 2, "max_minor": 1}}}, "limits"),
        ({"costs": [{"fixed_minor": 25}]}, "costs"),
        ({"settlement_calendar": {"country": "XX"}}, "country cannot be XX"),
        ({"rules_off": ["every"]}, "every is no rule"),
    ],
)
def test_what_is_wrong_is_named_without_its_value_and_nothing_is_stored(
    sandbox_psp: SandboxProcess, given: dict[str, Any], said: str
) -> None:
    if "given" in given:
        told = given["given"].items()
        given = given | {"given": {k: v.format(psp=sandbox_psp.base_url) for k, v in told}}
    with pytest.raises(ValueError, match=said) as refused:
        create(sandbox_psp, **given)
    for secret in ("_accounts", "of-another-psp", "short"):
        assert secret not in str(refused.value).replace("short ", "")
    assert not PspAccount.objects.exists()


def test_a_code_is_used_once(sandbox_psp: SandboxProcess) -> None:
    create(sandbox_psp)
    with pytest.raises(ValidationError):
        create(sandbox_psp)
    assert PspAccount.objects.count() == 1


def test_credentials_change_one_by_one_and_a_wrong_one_changes_nothing(
    sandbox_psp: SandboxProcess,
) -> None:
    account = create(sandbox_psp)
    first = accounts.adapter_of(account)
    change_psp_account(account, author=ADA, given={"webhook_secrets": "a secret of a test"})
    assert credentials_of(account)["webhook_secrets"] == "a secret of a test"
    assert credentials_of(account)["api_key"] == KEY
    assert accounts.adapter_of(account) is not first
    with pytest.raises(ValueError, match="api_key"):
        change_psp_account(
            PspAccount.objects.get(), author=ADA, given={"api_key": "wrong"}, hold_days=3
        )
    assert credentials_of(account)["api_key"] == KEY
    assert PspAccount.objects.get().hold_days == 7
    change_psp_account(PspAccount.objects.get(), author=ADA, given={"webhook_secrets": ""})
    assert "webhook_secrets" not in credentials_of(account)


def test_two_operators_never_lose_a_credential_of_each_other(sandbox_psp: SandboxProcess) -> None:
    create(sandbox_psp)
    mine, theirs = PspAccount.objects.get(), PspAccount.objects.get()
    change_psp_account(theirs, author=ADA, given={"webhook_secrets": "a secret of a test"})
    with pytest.raises(ValueError, match="do it again"):
        change_psp_account(mine, author=ADA, given={"api_key": f"{KEY}_2"})
    assert credentials_of(theirs)["webhook_secrets"] == "a secret of a test"
    assert credentials_of(theirs)["api_key"] == KEY


def test_a_paused_account_is_checked_when_it_is_resumed(sandbox_psp: SandboxProcess) -> None:
    account = create(sandbox_psp, given=None)
    assert account.status == "paused"
    with pytest.raises(ValueError, match="no credentials"):
        resume_psp_account(account, author=ADA)
    change_psp_account(
        account, author=ADA, given={"base_url": sandbox_psp.base_url, "api_key": "wrong"}
    )
    with pytest.raises(ValueError, match="api_key"):
        resume_psp_account(account, author=ADA)
    assert PspAccount.objects.get().status == "paused"
    change_psp_account(account, author=ADA, given={"api_key": KEY})
    assert resume_psp_account(account, author=ADA).status == "active"


def test_a_status_is_never_overwritten_by_a_row_read_before(sandbox_psp: SandboxProcess) -> None:
    create(sandbox_psp)
    mine, theirs = PspAccount.objects.get(), PspAccount.objects.get()
    close_psp_account(mine, author=ADA)
    for act in (pause_psp_account, close_psp_account):
        with pytest.raises(ValueError, match=r"has changed|is closing"):
            act(theirs, author=ADA)
        theirs = PspAccount.objects.get()
    with pytest.raises(ValueError, match="is closing"):
        resume_psp_account(mine, author=ADA)
    assert PspAccount.objects.get().status == "closing"


def test_postgresql_keeps_the_mode_the_psp_and_the_code_and_wants_credentials(
    sandbox_psp: SandboxProcess, owner_cursor: Any
) -> None:
    create(sandbox_psp)
    rows = PspAccount.objects.all()
    for column, value in (("livemode", "true"), ("psp", "'stripe'"), ("code", "'other'")):
        with pytest.raises(psycopg.errors.CheckViolation, match="permanent_column"):
            owner_cursor.execute(f"UPDATE payments_psp_account SET {column} = {value}")
    for change in ({"sealed_credentials": ""}, {"status": "ended"}):
        with pytest.raises(IntegrityError), transaction.atomic():
            rows.update(**change)
    rows.update(status="closing")
    for status in ("active", "paused"):
        with pytest.raises(IntegrityError), transaction.atomic():
            rows.update(status=status)


@pytest.mark.parametrize("status", ["paused", "closing"])
def test_such_an_account_charges_nothing_new_and_all_else_goes_on(
    shop: Shop, hooks: Hooks, status: str
) -> None:
    held = body_of(shop.create(manual=True, order_id="held"))["id"]
    paid = body_of(shop.create(order_id="paid"))["id"]
    voided = body_of(shop.create(manual=True, order_id="voided"))["id"]
    api, before = api_of(shop), PaymentIntent.objects.count()
    waiting = try_to_pay(api, shop, confirm=False).body
    account = PspAccount.objects.get(pk=shop.account.pk)
    (pause_psp_account if status == "paused" else close_psp_account)(account, author=ADA)

    calls = shop.psp.calls()
    for reply in (
        try_to_pay(api, shop, payment_method="pm_card_mastercard"),
        api.post(f"{INTENTS}/{waiting['id']}/confirm"),
    ):
        assert (reply.status, reply.error["code"]) == (400, "payment_provider_paused")
    assert shop.psp.calls() == calls
    assert PaymentIntent.objects.count() == before + 1
    assert not Operation.objects.filter(order_id=shop.order_id).exists()

    assert body_of(shop.capture(held))["status"] == "succeeded"
    assert body_of(shop.refund(paid))["status"] == "succeeded"
    assert body_of(shop.cancel(voided))["status"] == "canceled"
    notice = hooks.notice()
    assert hooks.deliver(notice).status_code == 200
    assert PspNotification.objects.count() == 1


def test_the_same_request_succeeds_after_the_account_was_resumed(shop: Shop) -> None:
    api, account = api_of(shop), PspAccount.objects.get(pk=shop.account.pk)
    pause_psp_account(account, author=ADA)
    assert try_to_pay(api, shop, confirm=False).status == 200
    assert try_to_pay(api, shop).error["code"] == "payment_provider_paused"
    given = {"amount": 10_000, "currency": "usd", "payment_method": "pm_card_visa"}
    refused = api.post(INTENTS, key="same", confirm=True, **given)
    assert refused.error["code"] == "payment_provider_paused"
    resume_psp_account(account, author=ADA)
    assert api.post(INTENTS, key="same", confirm=True, **given).body["status"] == "succeeded"
    assert try_to_pay(api, shop).body["status"] == "succeeded"


def test_a_closing_account_gets_no_new_payment_even_unconfirmed(shop: Shop) -> None:
    close_psp_account(PspAccount.objects.get(pk=shop.account.pk), author=ADA)
    reply = try_to_pay(api_of(shop), shop, confirm=False)
    assert reply.error["code"] == "payment_provider_paused"
    assert not PaymentIntent.objects.exists()


def test_a_confirmed_payment_is_answered_again_while_its_account_is_paused(shop: Shop) -> None:
    api = api_of(shop)
    given = {"amount": 10_000, "currency": "usd", "payment_method": "pm_card_visa"}
    paid = api.post(INTENTS, key="first", confirm=True, **given)
    pause_psp_account(PspAccount.objects.get(pk=shop.account.pk), author=ADA)
    again = api.post(INTENTS, key="first", confirm=True, **given)
    assert (again.status, again.body) == (200, paid.body)


def test_an_encryption_key_is_replaced_without_giving_credentials_again(
    sandbox_psp: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = create(sandbox_psp)
    old, new = settings.SECRETS_ENCRYPTION_KEYS, (Fernet.generate_key().decode(),)
    monkeypatch.setattr(settings, "SECRETS_ENCRYPTION_KEYS", new + old)
    assert reseal_credentials(author=ADA) == 1
    monkeypatch.setattr(settings, "SECRETS_ENCRYPTION_KEYS", new)
    assert credentials_of(account)["api_key"] == KEY
    monkeypatch.setattr(settings, "SECRETS_ENCRYPTION_KEYS", old)
    before = PspAccount.objects.get().sealed_credentials
    with pytest.raises(ValueError, match="SECRETS_ENCRYPTION_KEYS"):
        reseal_credentials(author=ADA)
    assert PspAccount.objects.get().sealed_credentials == before


def test_each_change_is_logged_with_its_author_and_of_credentials_the_names_alone(
    sandbox_psp: SandboxProcess,
) -> None:
    account = create(sandbox_psp)
    change_psp_account(
        account, author=ADA, hold_days=5, given={"webhook_secrets": "a new secret of a test"}
    )
    pause_psp_account(account, author=staff("bea", "4242 4242 4242 4242 fails there"))
    created, changed, paused = AuditEntry.objects.order_by("id")
    assert (created.act, created.changes["currencies"]) == ("psp_account.create", {"after": []})
    assert created.changes["credentials"] == {"changed": ["api_key", "base_url"]}
    assert 'code: "new"' in created.in_words
    assert "currencies" not in created.in_words
    assert changed.changes == {
        "hold_days": {"before": 7, "after": 5},
        "credentials": {"changed": ["webhook_secrets"]},
    }
    assert changed.in_words == "hold_days: 7 → 5; credentials: webhook_secrets changed"
    assert paused.changes == {"status": {"before": "active", "after": "paused"}}
    assert (paused.actor, paused.reason) == ("staff:bea", "**** **** **** 4242 fails there")
    stored = str(list(AuditEntry.objects.values()))
    for secret in (KEY, "a new secret of a test", PspAccount.objects.get().sealed_credentials):
        assert secret not in stored


def test_what_is_refused_is_recorded_as_refused_and_what_was_recorded_stays(
    sandbox_psp: SandboxProcess, owner_cursor: psycopg.Cursor[Any]
) -> None:
    account = create(sandbox_psp)
    with pytest.raises(ValueError, match="--by"):
        Author("")
    with pytest.raises(ValueError, match="api_key"):
        change_psp_account(account, author=ADA, given={"api_key": "wrong"})
    with pytest.raises(ValueError, match="is active"):
        resume_psp_account(PspAccount.objects.get(), author=ADA)
    created, wrong_key, not_paused = AuditEntry.objects.order_by("id")
    assert (created.result, wrong_key.result, not_paused.result) == ("done", "refused", "refused")
    assert (wrong_key.changes, "api_key" in wrong_key.refusal) == ({}, True)
    assert "is active" in not_paused.refusal
    for statement in ("UPDATE {} SET actor = 'staff:eve'", "DELETE FROM {}"):
        with pytest.raises(psycopg.errors.CheckViolation, match="append_only"):
            owner_cursor.execute(statement.format(AuditEntry._meta.db_table))  # type: ignore[arg-type]
    for wrong in (
        {"changes": {"credentials": {"before": "a", "after": "b"}}},
        {"changes": {"sealed_credentials": {"after": "b"}}},
        {"actor": ""},
        {"actor": "staff:eve", "staff": None},
        {"result": "refused"},
        {"act": "create"},
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            row = AuditEntry.objects.get(pk=created.pk)
            row.id = new_id()
            for name, value in wrong.items():
                setattr(row, name, value)
            row.save(force_insert=True)
    assert {row.actor for row in AuditEntry.objects.all()} == {"staff:ada"}
