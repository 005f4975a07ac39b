"""The chart: ids that follow from what an account is."""

from __future__ import annotations

from uuid import UUID

import pytest

from ledger import chart
from ledger.chart import CHART, AccountKind, AccountRef, Direction
from ledger.exceptions import UnknownCurrency


def test_an_account_id_never_changes() -> None:
    # Every installed database depends on these; a change here would split every account in two.
    assert chart.psp_receivable("sandbox", "USD").id == UUID("0f0518bb-c533-557b-837f-cacfcfa0cd33")
    assert chart.platform_fee_income("JPY").id == UUID("31adac5c-712a-55b5-91e6-1ef96637c2c9")


def test_code_dimension_and_currency_each_make_another_account() -> None:
    ids = {
        chart.auth_held("sandbox", "USD").id,
        chart.auth_contra("sandbox", "USD").id,
        chart.auth_held("other", "USD").id,
        chart.auth_held("sandbox", "EUR").id,
    }
    assert len(ids) == 4


def test_every_code_has_one_function_that_names_it() -> None:
    accounts = [
        chart.psp_receivable("p", "USD"),
        chart.psp_balance("p", "USD"),
        chart.dispute_receivable("p", "USD"),
        chart.merchant_payable("m", "USD"),
        chart.refund_in_flight("p", "USD"),
        chart.dispute_held("m", "USD"),
        chart.platform_fee_income("USD"),
        chart.dispute_fee("p", "USD"),
        chart.chargeback_loss("USD"),
        chart.auth_held("p", "USD"),
        chart.auth_contra("p", "USD"),
        chart.dispute_exposure("p", "USD"),
        chart.dispute_exposure_contra("p", "USD"),
    ]
    assert {account.code for account in accounts} == set(CHART)
    assert len(accounts) == len(CHART)


def test_memo_accounts_are_the_nine_thousands() -> None:
    for line in CHART.values():
        assert (line.kind is AccountKind.MEMO) == (9000 <= line.code <= 9999)


def test_what_is_not_an_account_is_refused() -> None:
    with pytest.raises(ValueError, match="chart"):
        AccountRef(1234, "sandbox", "USD")
    with pytest.raises(ValueError, match="dimension"):
        AccountRef(1100, "sandbox|USD", "USD")
    with pytest.raises(ValueError, match="dimension"):
        AccountRef(1100, "x" * 65, "USD")
    with pytest.raises(UnknownCurrency):
        AccountRef(1100, "sandbox", "usd")


def test_an_account_reads_as_a_person_would_say_it() -> None:
    assert str(chart.psp_receivable("sandbox", "USD")) == "1100 psp_receivable sandbox USD"


def test_the_opposite_of_the_opposite_is_the_side_itself() -> None:
    assert Direction.DEBIT.opposite is Direction.CREDIT
    assert Direction.CREDIT.opposite is Direction.DEBIT
