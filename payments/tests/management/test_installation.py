"""From an empty database to the first payment by commands alone: no shell, no superuser."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client

from payments.api.authentication import forget_cached_keys
from payments.models import ApiKey, Merchant
from payments.tests.support.api_client import ApiClient
from psp_adapters.tests.support.sandbox_process import SandboxProcess

pytestmark = pytest.mark.usefixtures("database")


def run(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def made(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json"))


@pytest.fixture(autouse=True)
def cheap_passwords(settings: Any) -> None:
    """The usual hash takes a second on purpose."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def merchant() -> dict[str, Any]:
    made("staff", "create", "ada")
    made("psp_accounts", "create", "sandbox", "--paused", "--by", "staff:ada")
    created: dict[str, Any] = made(
        "merchant", "create", "Corner Books", "--test-account", "sandbox"
    )
    return created


def test_a_merchant_takes_its_first_payment(
    merchant: dict[str, Any], sandbox_psp: SandboxProcess, tmp_path: Path
) -> None:
    credentials = {"base_url": sandbox_psp.base_url, "api_key": "sandbox_installation"}
    (tmp_path / "sandbox.json").write_text(json.dumps(credentials))
    file = str(tmp_path / "sandbox.json")
    run("psp_accounts", "change", "sandbox", "--credentials", file, "--by", "staff:ada")
    run("psp_accounts", "resume", "sandbox", "--by", "staff:ada")
    key = made("api_key", "create", merchant["merchant"], "--name", "shop")
    paid = ApiClient(key["secret"]).pay(1_250)
    assert (paid["status"], paid["amount_received"]) == ("succeeded", 1_250)


def test_rows_are_listed_as_a_table_and_shown_by_field(merchant: dict[str, Any]) -> None:
    listed = run("merchant", "list").splitlines()
    assert listed[0].split() == [
        *("merchant", "name", "test", "account", "live", "account", "created"),
    ]
    assert merchant["merchant"] in listed[1]
    assert listed[2] == "1 found"
    shown = run("merchant", "show", merchant["merchant"])
    assert "order_guard                  on\n" in shown
    assert "live_account                 -\n" in shown


def test_settings_are_changed_by_name_and_the_others_stay(merchant: dict[str, Any]) -> None:
    changed = made(
        *("merchant", "set", merchant["merchant"], "--order-guard", "off"),
        *("--void-uncaptured-after-hours", "48", "--platform-fee-basis-points", "150"),
    )
    row = Merchant.objects.get()
    assert (row.order_guard, row.void_uncaptured_after_hours) == (False, 48)
    assert changed["platform_fee_basis_points"] == row.platform_fee_basis_points == 150
    assert row.idempotency_key_required is True
    run("merchant", "set", merchant["merchant"], "--void-uncaptured-after-hours", "none")
    assert Merchant.objects.get().void_uncaptured_after_hours is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("set", "acct_x", "--name", "B"), "no such merchant: acct_x"),
        (("set", "{merchant}"), "name what is to change"),
        (("set", "{merchant}", "--psp-wait-ms", "soon"), "--psp-wait-ms"),
        (("set", "{merchant}", "--late-success-policy", "shrug"), "--late-success-policy"),
        (("set", "{merchant}", "--live-account", "sandbox"), "is of the other mode"),
        (("set", "{merchant}", "--live-account", "nowhere"), "no such PSP account: nowhere"),
        (("create", "B", "--platform-fee-basis-points", "-1"), "--platform-fee-basis-points"),
    ],
)
def test_what_cannot_be_set_is_refused_in_one_line_and_nothing_is_changed(
    merchant: dict[str, Any], arguments: tuple[str, ...], said: str
) -> None:
    before = list(Merchant.objects.values())
    with pytest.raises(CommandError, match=said) as refused:
        run("merchant", *(each.format(**merchant) for each in arguments))
    assert "\n" not in str(refused.value)
    assert list(Merchant.objects.values()) == before


def test_a_key_is_rolled_and_both_work_until_the_overlap_is_over(merchant: dict[str, Any]) -> None:
    first = made("api_key", "create", merchant["merchant"])
    second = made("api_key", "roll", first["key"], "--overlap-hours", "1")
    for key in (first, second):
        assert ApiClient(key["secret"]).get("/v1/balance").status == 200
    third = made("api_key", "roll", second["key"], "--overlap-hours", "0")
    forget_cached_keys()
    assert ApiClient(second["secret"]).get("/v1/balance").status == 401
    with pytest.raises(CommandError, match="not valid any more"):
        run("api_key", "roll", second["key"])
    assert ApiClient(third["secret"]).get("/v1/balance").status == 200
    assert [row["state"] for row in made("api_key", "list", merchant["merchant"])] == [
        *("valid", "expired", "valid"),
    ]


def test_a_revoked_key_is_refused_and_listed_as_such(merchant: dict[str, Any]) -> None:
    key = made("api_key", "create", merchant["merchant"])
    assert made("api_key", "revoke", key["key"])["state"] == "revoked"
    forget_cached_keys()
    assert ApiClient(key["secret"]).get("/v1/balance").status == 401
    assert key["secret"] not in run("api_key", "list", merchant["merchant"])


def test_a_key_needs_a_psp_account_of_its_mode(merchant: dict[str, Any]) -> None:
    with pytest.raises(CommandError, match="--live-account CODE"):
        run("api_key", "create", merchant["merchant"], "--live")
    assert not ApiKey.objects.exists()


def test_migrations_ship_the_roles_and_finance_may_import_reports_alone() -> None:
    roles = {row["role"]: row for row in made("role", "list")}
    assert set(roles) == {"support", "support lead", "finance", "on-call"}
    for name in roles:
        permissions = made("role", "show", name)["permissions"]
        assert permissions
        others = [each for each in permissions if not each.split(".")[1].startswith("view_")]
        assert others == (["reconciliation.import_settlementreport"] if name == "finance" else [])
        assert "payments.view_apikey" not in permissions
    assert "ledger.view_ledgerentry" not in made("role", "show", "support")["permissions"]


def test_a_person_gets_a_login_with_a_role_and_loses_it() -> None:
    ada = made("staff", "create", "ada", "--role", "support", "--email", "ada@example.com")
    assert ada["roles"] == ["support"]
    client = Client()
    assert client.login(username="ada", password=ada["password"])
    assert client.get("/admin/payments/paymentintent/").status_code == 200
    assert client.get("/admin/ledger/ledgerentry/").status_code == 403
    assert made("staff", "set", "ada", "--role", "finance")["roles"] == ["finance"]
    assert client.get("/admin/ledger/ledgerentry/").status_code == 200
    renewed = made("staff", "password", "ada")["password"]
    assert authenticate(username="ada", password=ada["password"]) is None
    assert authenticate(username="ada", password=renewed) is not None
    run("staff", "disable", "ada")
    assert authenticate(username="ada", password=renewed) is None
    assert made("staff", "list")[0]["enabled"] is False


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("create", "bob", "--role", "king"), "no such role: king"),
        (("create", "two words"), "username"),
        (("show", "bob"), "no such login: bob"),
    ],
)
def test_a_wrong_login_is_refused_and_not_made(arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(CommandError, match=said):
        run("staff", *arguments)
    assert not User.objects.exists()
