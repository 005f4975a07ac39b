"""Keys stay ended, and merchants use accounts of the mode, even if a row is written by hand."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, ProgrammingError, transaction

from payments.clock import now_utc
from payments.models import ApiKey, Merchant, PspAccount
from payments.services.commands.operators.merchants import (
    change_merchant,
    issue_api_key,
    revoke_api_key,
)
from payments.tests.support.factories import TESTS, MerchantFactory, PspAccountFactory
from payments.tests.support.shop import Shop


@pytest.fixture
def key(shop: Shop) -> ApiKey:
    return issue_api_key(merchant=shop.merchant, livemode=False, author=TESTS)[0]


def refused(key: ApiKey, **values: object) -> None:
    row = ApiKey.objects.filter(pk=key.pk)
    before = row.values().get()
    with pytest.raises(IntegrityError, match="payments_key_stays_ended"), transaction.atomic():
        row.update(**values)
    assert row.values().get() == before


def test_a_revoked_key_stays_revoked(key: ApiKey) -> None:
    revoke_api_key(key, author=TESTS)
    refused(key, revoked_at=None)
    refused(key, revoked_at=now_utc() + timedelta(days=1))


def test_an_expired_key_stays_expired_and_no_end_is_cleared(key: ApiKey) -> None:
    ApiKey.objects.filter(pk=key.pk).update(expires_at=now_utc() + timedelta(hours=1))
    refused(key, expires_at=None)
    ApiKey.objects.filter(pk=key.pk).update(expires_at=now_utc() - timedelta(seconds=1))
    refused(key, expires_at=now_utc() + timedelta(days=1))


@pytest.mark.parametrize("values", [{"secret_sha256": "0" * 64}, {"livemode": True}])
def test_a_key_never_becomes_another_one(key: ApiKey, values: dict[str, object]) -> None:
    with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
        ApiKey.objects.filter(pk=key.pk).update(**values)


@pytest.mark.parametrize("values", [{"livemode": True}, {"created_at": now_utc()}])
def test_a_psp_account_never_changes_its_mode(shop: Shop, values: dict[str, object]) -> None:
    with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
        PspAccount.objects.filter(pk=shop.account.pk).update(**values)


@pytest.mark.parametrize("livemode", [False, True], ids=["test account", "live account"])
@pytest.mark.parametrize("column", ["test_psp_account", "live_psp_account"])
def test_python_and_postgresql_refuse_the_same_accounts(
    database: None, column: str, livemode: bool
) -> None:
    account = PspAccountFactory.create(livemode=livemode)
    merchant = MerchantFactory.create()
    row = Merchant.objects.filter(pk=merchant.pk)
    before = row.values().get()
    if livemode == (column == "live_psp_account"):
        row.update(**{column: account})
        change_merchant(row.get(), author=TESTS, **{column: account})
        return
    with pytest.raises(ValueError, match="other mode"):
        change_merchant(merchant, author=TESTS, **{column: account})
    with pytest.raises(IntegrityError, match="account_of_other_mode"), transaction.atomic():
        row.update(**{column: account})
    with pytest.raises(IntegrityError, match="account_of_other_mode"), transaction.atomic():
        Merchant.objects.create(name="By hand", **{column: account})
    assert row.values().get() == before
