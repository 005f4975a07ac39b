"""The demo's seed: merchants, secrets and logins."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.hashers import (
    MD5PasswordHasher,
    get_hashers,
    get_hashers_by_algorithm,
    make_password,
)
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse

from payments.models import ApiKey, Merchant, PspAccount, RoutingRule
from payments.services.commands.operators.merchants import hash_of

pytestmark = pytest.mark.usefixtures("database", "sandbox_psp")


class QuickHasher(MD5PasswordHasher):
    """As slow hashers must be used: outside any transaction, whose time is limited."""

    def encode(self, password: str, salt: str) -> str:
        assert not connection.in_atomic_block, "a password is hashed inside a transaction"
        encoded: str = super().encode(password, salt)
        return encoded


@pytest.fixture(autouse=True)
def _quick_passwords(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Slow hashes are for real passwords; the seed makes three each time; see `QuickHasher`."""
    quick = [f"{__name__}.QuickHasher"]
    monkeypatch.setattr(settings, "PASSWORD_HASHERS", quick)
    get_hashers.cache_clear()
    get_hashers_by_algorithm.cache_clear()
    yield
    get_hashers.cache_clear()
    get_hashers_by_algorithm.cache_clear()


def _seed() -> dict[str, Any]:
    out = StringIO()
    call_command("seed_demo", stdout=out)
    seeded: dict[str, Any] = json.loads(out.getvalue())
    return seeded


def _valid(secret_key: str) -> bool:
    return ApiKey.objects.filter(
        secret_sha256=hash_of(secret_key), revoked_at__isnull=True, livemode=False
    ).exists()


def test_the_seed_prints_the_secrets_of_two_merchants_and_a_login_per_role() -> None:
    seeded = _seed()
    assert set(seeded) == {"merchants", "logins"}
    assert [each["name"] for each in seeded["merchants"]] == ["Northwind Books", "Tailspin Coffee"]
    assert all(_valid(each["secret_key"]) for each in seeded["merchants"])
    assert [each["role"] for each in seeded["logins"]] == [
        *("admin", "support", "support lead", "finance", "on-call"),
    ]
    assert Merchant.objects.get(name="Northwind Books").platform_fee_basis_points == 0
    assert Merchant.objects.get(name="Tailspin Coffee").platform_fee_basis_points == 150
    assert set(Merchant.objects.values_list("test_psp_account__code", flat=True)) == {"sandbox"}


def test_seeding_again_makes_nothing_twice_and_ends_the_last_secrets() -> None:
    first, second = _seed(), _seed()
    assert Merchant.objects.count() == 2
    assert PspAccount.objects.count() == 2
    of_merchants = Counter(RoutingRule.objects.values_list("merchant__name", flat=True))
    assert of_merchants == {"Northwind Books": 2, "Tailspin Coffee": 2}, "and of no other's"
    assert User.objects.count() == 5
    for old, new in zip(first["merchants"], second["merchants"], strict=True):
        assert not _valid(old["secret_key"])
        assert _valid(new["secret_key"])
    for old, new in zip(first["logins"], second["logins"], strict=True):
        assert not Client().login(username=old["username"], password=old["password"])
        assert Client().login(username=new["username"], password=new["password"])


def test_passwords_are_hashed_outside_transactions() -> None:
    """The hasher of these tests refuses to run inside one: this shows that the refusal works."""
    with transaction.atomic(), pytest.raises(AssertionError, match="inside a transaction"):
        make_password("any")
    _seed()
    assert {user.password.split("$")[0] for user in User.objects.all()} == {"md5"}


def test_a_key_that_the_merchant_issued_survives_the_seed() -> None:
    _seed()
    theirs = ApiKey.objects.create(
        merchant=Merchant.objects.get(name="Northwind Books"),
        name="our web shop",
        secret_sha256=hash_of("theirs"),
        last4="eirs",
    )
    _seed()
    theirs.refresh_from_db()
    assert theirs.revoked_at is None


@pytest.mark.parametrize(
    "role, seen, hidden",
    [
        ("support", "payments_paymentintent", "ledger_ledgerentry"),
        ("support", "payments_event", "payments_apikey"),
        ("finance", "ledger_ledgerentry", "payments_apikey"),
        ("finance", "payments_paymentintent", "auth_user"),
        ("finance", "reconciliation_settlementreport", "auth_user"),
    ],
)
def test_a_role_sees_its_tables_and_no_others(role: str, seen: str, hidden: str) -> None:
    login = next(each for each in _seed()["logins"] if each["role"] == role)
    client = Client()
    page = client.post(
        reverse("admin:login"),
        {"username": login["username"], "password": login["password"], "next": "/admin/"},
    )
    assert page.status_code == 302
    assert client.get(reverse("admin:index")).status_code == 200
    assert client.get(reverse(f"admin:{seen}_changelist")).status_code == 200
    assert client.get(reverse(f"admin:{hidden}_changelist")).status_code == 403


def test_roles_may_only_view_and_finance_imports_reports() -> None:
    _seed()
    others = {"support": set(), "finance": {"reconciliation.import_settlementreport"}}
    for username, more in others.items():
        rights = User.objects.get(username=username).get_all_permissions()
        assert rights - more
        assert {right for right in rights if ".view_" not in right} == more


def test_production_is_never_seeded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "PAYMENTS_ENVIRONMENT", "production")
    with pytest.raises(CommandError, match="production"):
        _seed()
    assert not Merchant.objects.exists()
    assert not User.objects.exists()
