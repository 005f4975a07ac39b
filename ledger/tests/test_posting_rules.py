"""Posting rules: every rule balances for every amount, on the accounts that the docs name."""

from __future__ import annotations

import re
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import bank_rules, chart, dispute_rules, settlement_rules
from ledger import posting_rules as rules
from ledger.chart import Direction
from ledger.exceptions import CurrencyMismatch, MixedKinds, UnbalancedTransaction
from ledger.money import CURRENCY_EXPONENTS, Money
from ledger.posting_rules import EntryLine, EntryType, Parties, Posting, Rule
from paymentsite.tests.fixtures.matrix import examples

PARTIES = Parties(psp_account="sandbox", merchant="0197a000-0000-7000-8000-000000000001")
amounts = st.builds(
    Money,
    st.integers(min_value=1, max_value=2**63 - 1),
    st.sampled_from(sorted(CURRENCY_EXPONENTS)),
)

RULES: dict[str, Rule] = {
    name: rule
    for module in (rules, dispute_rules, settlement_rules, bank_rules)
    for name, rule in vars(module).items()
    if isinstance(rule, Rule)
}
few_examples = settings(max_examples=examples(10, whole=100), deadline=None)
every_rule = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)


def test_every_rule_has_the_name_by_which_the_code_calls_it() -> None:
    assert {name: rule.name for name, rule in RULES.items()} == {name: name for name in RULES}


def _signed(posting: Posting) -> dict[str, int]:
    totals: dict[str, int] = {}
    for line in posting.lines:
        sign = 1 if line.direction is Direction.DEBIT else -1
        totals[line.amount.currency] = (
            totals.get(line.amount.currency, 0) + sign * line.amount.minor
        )
    return totals


@pytest.mark.matrix(most=len(RULES))
@every_rule
@few_examples
@given(amount=amounts)
def test_a_rule_balances_for_every_amount(rule: Rule, amount: Money) -> None:
    posting = rule(PARTIES, amount)
    assert posting.rule == rule.name
    assert _signed(posting) == {amount.currency: 0}
    assert {line.account.currency for line in posting.lines} == {amount.currency}
    assert len({line.account.line.kind for line in posting.lines}) == 1


def _documented() -> dict[str, tuple[str, str, str]]:
    """By rule: the codes of debit and credit, and the entry type, as docs/ledger.md says."""
    text = (Path(__file__).resolve().parents[2] / "docs" / "ledger.md").read_text()
    table = text.split("| rule | debit | credit | entry type |")[1].split("\n\n")[0]
    documented = {}
    for row in table.splitlines()[2:-1]:  # the last one is of reversals
        names, debits, credits, entry_type = (cell.strip() for cell in row.strip("|").split("|"))
        for number, group in enumerate(re.sub(r"\(.*?\)", "", names).split(";")):
            codes = [re.findall(r"\d{4}", cell) for cell in (debits, credits)]
            for name in group.split(","):
                debit, credit = (each[number % len(each)] for each in codes)
                documented[name.strip()] = (debit, credit, entry_type)
    return documented


def test_every_rule_books_what_the_documentation_says() -> None:
    booked = {}
    for name, rule in RULES.items():
        debit, credit = rule(PARTIES, Money(500, "USD")).lines
        assert (debit.direction, credit.direction) == (Direction.DEBIT, Direction.CREDIT)
        codes = (str(debit.account.code), str(credit.account.code))
        booked[name] = (*codes, debit.entry_type.value)
    assert booked == _documented()


@pytest.mark.matrix(most=len(RULES))
@every_rule
@few_examples
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
    debit = _line(chart.PSP_RECEIVABLE.of("sandbox", "USD"), Direction.DEBIT, 100)
    credit = _line(chart.MERCHANT_PAYABLE.of(PARTIES.merchant, "USD"), Direction.CREDIT, 99)
    with pytest.raises(UnbalancedTransaction):
        Posting("captured", (debit, credit))


def test_currencies_do_not_balance_each_other() -> None:
    debit = _line(chart.PSP_RECEIVABLE.of("sandbox", "USD"), Direction.DEBIT, 100)
    credit = _line(chart.MERCHANT_PAYABLE.of(PARTIES.merchant, "EUR"), Direction.CREDIT, 100)
    with pytest.raises(UnbalancedTransaction):
        Posting("captured", (debit, credit))


def test_a_posting_of_fewer_than_two_lines_is_refused() -> None:
    line = _line(chart.PSP_RECEIVABLE.of("sandbox", "USD"), Direction.DEBIT, 100)
    for lines in ((), (line,)):
        with pytest.raises(UnbalancedTransaction):
            Posting("captured", lines)


def test_memo_and_real_accounts_do_not_mix() -> None:
    debit = _line(chart.AUTH_HELD.of("sandbox", "USD"), Direction.DEBIT, 100)
    credit = _line(chart.MERCHANT_PAYABLE.of(PARTIES.merchant, "USD"), Direction.CREDIT, 100)
    with pytest.raises(MixedKinds):
        Posting("captured", (debit, credit))


@pytest.mark.parametrize("minor", [0, -1])
def test_an_entry_takes_only_a_positive_amount(minor: int) -> None:
    with pytest.raises(ValueError, match="positive"):
        rules.authorized(PARTIES, Money(minor, "USD"))


def test_an_entry_is_in_the_currency_of_its_account() -> None:
    with pytest.raises(CurrencyMismatch):
        EntryLine(
            chart.AUTH_HELD.of("sandbox", "EUR"), Direction.DEBIT, Money(1, "USD"), EntryType.AUTH
        )


@pytest.mark.parametrize("name", ["", "NULL", "a,b", 'a"b', "{}", "Captured"])
def test_the_name_of_a_rule_is_a_plain_identifier(name: str) -> None:
    lines = rules.authorized(PARTIES, Money(1, "USD")).lines
    with pytest.raises(ValueError, match="name of a rule"):
        Posting(name, lines)
