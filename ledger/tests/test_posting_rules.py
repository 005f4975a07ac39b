"""Posting rules: every rule balances for every amount, on the accounts its docstring names."""

from __future__ import annotations

import inspect
import re
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import chart, dispute_rules
from ledger import posting_rules as rules
from ledger.chart import CHART, Direction
from ledger.exceptions import CurrencyMismatch, MixedKinds, UnbalancedTransaction
from ledger.money import CURRENCY_EXPONENTS, Money
from ledger.posting_rules import EntryLine, EntryType, Parties, Posting, Rule

PARTIES = Parties(psp_account="sandbox", merchant="0197a000-0000-7000-8000-000000000001")
amounts = st.builds(
    Money,
    st.integers(min_value=1, max_value=2**63 - 1),
    st.sampled_from(sorted(CURRENCY_EXPONENTS)),
)

RULES: list[Rule] = [
    rule
    for module in (rules, dispute_rules)
    for name, rule in inspect.getmembers(module, inspect.isfunction)
    if rule.__module__ == module.__name__
    and list(inspect.signature(rule).parameters) == ["parties", "amount"]
]
every_rule = pytest.mark.parametrize("rule", RULES, ids=[rule.__name__ for rule in RULES])


def test_every_rule_takes_the_same_parameters() -> None:
    others = {"move", "reversal_of"}
    public = {
        name
        for module in (rules, dispute_rules)
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and not name.startswith("_")
    }
    assert public - others == {rule.__name__ for rule in RULES}


def _signed(posting: Posting) -> dict[str, int]:
    totals: dict[str, int] = {}
    for line in posting.lines:
        sign = 1 if line.direction is Direction.DEBIT else -1
        totals[line.amount.currency] = (
            totals.get(line.amount.currency, 0) + sign * line.amount.minor
        )
    return totals


@every_rule
@given(amount=amounts)
def test_a_rule_balances_for_every_amount(rule: Rule, amount: Money) -> None:
    posting = rule(PARTIES, amount)
    assert posting.rule == rule.__name__
    assert _signed(posting) == {amount.currency: 0}
    assert {line.account.currency for line in posting.lines} == {amount.currency}
    assert len({line.account.line.kind for line in posting.lines}) == 1


@every_rule
def test_a_rule_books_what_its_docstring_draws(rule: Rule) -> None:
    drawn = re.findall(r"(Dr|Cr) (\d{4}) (\w+) +amount", rule.__doc__ or "")
    posting = rule(PARTIES, Money(500, "USD"))
    sides = {Direction.DEBIT: "Dr", Direction.CREDIT: "Cr"}
    booked = [
        (sides[line.direction], str(line.account.code), CHART[line.account.code].name)
        for line in posting.lines
    ]
    assert booked == drawn


@every_rule
@given(amount=amounts)
def test_a_reversal_mirrors_exactly_what_was_booked(rule: Rule, amount: Money) -> None:
    posting = rule(PARTIES, amount)
    original_id = uuid4()
    reversal = rules.reversal_of(posting, reverses=original_id)
    assert reversal.rule == f"reversal_of_{posting.rule}"
    assert reversal.reverses == original_id
    net: dict[chart.AccountRef, int] = {}
    for line in (*posting.lines, *reversal.lines):
        sign = 1 if line.direction is Direction.DEBIT else -1
        net[line.account] = net.get(line.account, 0) + sign * line.amount.minor
    assert set(net.values()) == {0}
    assert [line.entry_type for line in reversal.lines] == [
        line.entry_type for line in posting.lines
    ]


def test_a_reversal_is_not_reversed() -> None:
    reversal = rules.reversal_of(rules.authorized(PARTIES, Money(1, "USD")))
    with pytest.raises(ValueError, match="itself a reversal"):
        rules.reversal_of(reversal)


def _line(account: chart.AccountRef, direction: Direction, minor: int) -> EntryLine:
    return EntryLine(account, direction, Money(minor, account.currency), EntryType.CAPTURE)


def test_a_posting_that_does_not_balance_is_refused() -> None:
    debit = _line(chart.psp_receivable("sandbox", "USD"), Direction.DEBIT, 100)
    credit = _line(chart.merchant_payable(PARTIES.merchant, "USD"), Direction.CREDIT, 99)
    with pytest.raises(UnbalancedTransaction):
        Posting("captured", (debit, credit))


def test_currencies_do_not_balance_each_other() -> None:
    debit = _line(chart.psp_receivable("sandbox", "USD"), Direction.DEBIT, 100)
    credit = _line(chart.merchant_payable(PARTIES.merchant, "EUR"), Direction.CREDIT, 100)
    with pytest.raises(UnbalancedTransaction):
        Posting("captured", (debit, credit))


def test_a_posting_of_fewer_than_two_lines_is_refused() -> None:
    line = _line(chart.psp_receivable("sandbox", "USD"), Direction.DEBIT, 100)
    for lines in ((), (line,)):
        with pytest.raises(UnbalancedTransaction):
            Posting("captured", lines)


def test_memo_and_real_accounts_do_not_mix() -> None:
    debit = _line(chart.auth_held("sandbox", "USD"), Direction.DEBIT, 100)
    credit = _line(chart.merchant_payable(PARTIES.merchant, "USD"), Direction.CREDIT, 100)
    with pytest.raises(MixedKinds):
        Posting("captured", (debit, credit))


@pytest.mark.parametrize("minor", [0, -1])
def test_an_entry_takes_only_a_positive_amount(minor: int) -> None:
    with pytest.raises(ValueError, match="positive"):
        rules.authorized(PARTIES, Money(minor, "USD"))


def test_an_entry_is_in_the_currency_of_its_account() -> None:
    with pytest.raises(CurrencyMismatch):
        EntryLine(
            chart.auth_held("sandbox", "EUR"), Direction.DEBIT, Money(1, "USD"), EntryType.AUTH
        )


@pytest.mark.parametrize("name", ["", "NULL", "a,b", 'a"b', "{}", "Captured"])
def test_the_name_of_a_rule_is_a_plain_identifier(name: str) -> None:
    lines = rules.authorized(PARTIES, Money(1, "USD")).lines
    with pytest.raises(ValueError, match="name of a rule"):
        Posting(name, lines)
