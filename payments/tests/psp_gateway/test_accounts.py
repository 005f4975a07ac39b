"""Settings of PSP accounts are seen by every process within seconds."""

from __future__ import annotations

import time

import pytest

from payments.services.psp_gateway import accounts
from payments.tests.support.factories import PspAccountFactory

pytestmark = pytest.mark.django_db


def test_a_changed_setting_of_an_account_is_seen_within_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert accounts.SETTINGS_SECONDS <= 5
    monkeypatch.setattr(accounts, "SETTINGS_SECONDS", 0.2)
    account = PspAccountFactory.create(settlement_delay_days=2)
    assert accounts.psp_account_of(account.id).settlement_delay_days == 2
    account.settlement_delay_days = 7
    account.save(update_fields=["settlement_delay_days"])
    time.sleep(0.25)
    assert accounts.psp_account_of(account.id).settlement_delay_days == 7


def test_reading_an_account_again_soon_costs_no_statement(
    django_assert_num_queries: pytest.FixtureRequest,
) -> None:
    account = PspAccountFactory.create()
    accounts.forget_accounts()
    with django_assert_num_queries(2):
        for _ in range(3):
            assert accounts.psp_account_of(account.id).code == account.code
            assert accounts.identity_of(account.id).psp == account.psp
