"""The chart of accounts: an account's id follows from its code, dimension and currency."""

from __future__ import annotations

from uuid import UUID

import pytest

from ledger import chart
from ledger.chart import CHART, AccountKind, AccountRef, ChartLine, Direction
from ledger.exceptions import UnknownCurrency


def test_an_account_id_never_changes() -> None:
    # Every installed database depends on these; a change here would split every account in two.
    assert chart.PSP_RECEIVABLE.of("sandbox", "USD").id == UUID(
        "0f0518bb-c533-557b-837f-cacfcfa0cd33"
    )
    assert chart.PLATFORM_FEE_INCOME.of("", "JPY").id == UUID(
        "31adac5c-712a-55b5-91e6-1ef96637c2c9"
    )


def test_code_dimension_and_currency_each_make_another_account() -> None:
    ids = {
        chart.AUTH_HELD.of("sandbox", "USD").id,
        chart.AUTH_CONTRA.of("sandbox", "USD").id,
        chart.AUTH_HELD.of("other", "USD").id,
        chart.AUTH_HELD.of("sandbox", "EUR").id,
    }
    assert len(ids) == 4


def test_every_code_has_one_constant_that_names_it() -> None:
    named = {name: line for name, line in vars(chart).items() if isinstance(line, ChartLine)}
    assert {line.name.upper(): line for line in CHART.values()} == named


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


def test_an_account_has_a_readable_name() -> None:
    assert str(chart.PSP_RECEIVABLE.of("sandbox", "USD")) == "1100 psp_receivable sandbox USD"


def test_the_opposite_of_the_opposite_is_the_side_itself() -> None:
    assert Direction.DEBIT.opposite is Direction.CREDIT
    assert Direction.CREDIT.opposite is Direction.DEBIT
