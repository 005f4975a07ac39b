"""A file of statements counts wholly or not at all, and each line of an account once."""

from __future__ import annotations

import pytest

from ledger.models import LedgerTransaction
from payments.models import Case
from payments.tests.support.factories import TESTS
from paymentsite.tests.fixtures.matrix import orders
from reconciliation.models import BankLine, BankStatement, BankStatementFile
from reconciliation.services.bank_statements.accounts import add_bank_account
from reconciliation.services.bank_statements.balance_proof import prove
from reconciliation.services.bank_statements.contents import StatementUnreadable
from reconciliation.tests.bank_statements.test_formats import STA, XML
from reconciliation.tests.support.banking import FIRST_DAY, IBAN, Banking, camt, open_cases

TWIN = ("10.00", "twin payment")
MONDAY = camt(TWIN, TWIN, closing="20.00")
TUESDAY = camt(("5.00", "alone"), opening="20.00", closing="25.00", number=2, day="2026-03-03")


def rows() -> tuple[int, ...]:
    models = (BankStatementFile, BankStatement, BankLine, Case, LedgerTransaction)
    return tuple(model.objects.count() for model in models)


@pytest.mark.parametrize("body", [XML, STA])
def test_a_file_is_stored_once_with_each_of_its_lines(banking: Banking, body: bytes) -> None:
    stored = banking.import_(body)
    assert (stored.is_new, stored.lines_new) == (True, 2)
    assert bytes(BankStatementFile.objects.get().body) == body
    before = rows()
    again = banking.import_(body, "another name")
    assert (again.is_new, again.file.pk, rows()) == (False, stored.file.pk, before)
    assert banking.import_(body + b"\n", "the same, and a blank line").lines_new == 0
    assert BankStatement.objects.count() == 2


@pytest.mark.parametrize("order", orders(["monday", "tuesday", "both"]))
def test_equal_lines_both_count_and_overlapping_statements_change_nothing(
    banking: Banking, order: tuple[str, ...]
) -> None:
    both = camt(TWIN, TWIN, closing="20.00", number=None)
    bodies = {"monday": MONDAY, "tuesday": TUESDAY, "both": both}
    for name in order:
        banking.import_(bodies[name], name)
    found = BankLine.objects.values_list("amount_minor", "occurrence")
    assert sorted(found) == [(500, 1), (1_000, 1), (1_000, 2)]
    assert open_cases() == []


@pytest.mark.parametrize("order", [(1, 2, 3), (2, 1, 3), (2, 3, 1), (3, 2, 1)])
def test_equal_lines_of_statements_of_one_day_that_follow_each_other_all_count(
    banking: Banking, order: tuple[int, ...]
) -> None:
    for number in order:
        opening, closing = f"{number - 1}0.00", f"{number}0.00"
        body = camt(TWIN, opening=opening, closing=closing, number=number)
        banking.import_(body, f"{number}.xml")
    assert sorted(BankLine.objects.values_list("occurrence", flat=True)) == [1, 2, 3]
    assert open_cases() == []


def test_a_missing_statement_is_a_case_until_it_is_here(banking: Banking) -> None:
    banking.import_(MONDAY, "1.xml")
    wednesday = camt(opening="25.00", closing="25.00", number=3, day="2026-03-04")
    banking.import_(wednesday, "3.xml")
    assert open_cases() == ["FILE_GAP"]
    banking.import_(TUESDAY, "2.xml")
    assert open_cases() == []
    banking.import_(camt(opening="25.00", closing="25.00", number=5, day="2026-03-06"), "5.xml")
    assert open_cases() == ["FILE_GAP"]
    assert Case.objects.get(status="closed").closed_by == "rule:statement_came"


def test_a_name_or_a_statement_with_other_content_is_stored_and_a_case(banking: Banking) -> None:
    banking.import_(MONDAY)
    changed = camt(TWIN, TWIN, ("1.00", "new"), closing="21.00")
    stored = banking.import_(changed)
    assert stored.lines_new == 1
    assert open_cases() == ["FILE_CHANGED", "FILE_CHANGED"]
    assert BankStatementFile.objects.count() == 2


@pytest.mark.parametrize(
    ("body", "refusal", "why"),
    [
        (b"", ValueError, "1 to 4194304 bytes"),
        (XML[:-9], StatementUnreadable, "not whole XML"),
        (XML.replace(b"90.00", b"90.01"), StatementUnreadable, "does not add up"),
        (
            MONDAY.replace(IBAN.encode(), b"GB33BUKB20201555555555"),
            StatementUnreadable,
            "no bank account of ours",
        ),
        (MONDAY.replace(b"USD", b"EUR"), StatementUnreadable, "in EUR is no bank account"),
        (MONDAY.replace(b"twin", b"card 4242 4242 4242 4242"), ValueError, "line 6 holds what"),
    ],
)
def test_of_a_file_that_is_refused_nothing_is_stored(
    banking: Banking, body: bytes, refusal: type[Exception], why: str
) -> None:
    before = rows()
    with pytest.raises(refusal, match=why):
        banking.import_(body)
    assert rows() == before


def test_an_account_keeps_the_format_of_its_first_statement(banking: Banking) -> None:
    banking.import_(XML)
    with pytest.raises(StatementUnreadable, match=r"come as camt\.053"):
        banking.import_(STA, "march.sta")
    assert BankStatementFile.objects.count() == 1


def test_the_closing_balance_is_what_came_before_the_books_and_what_waits(
    banking: Banking,
) -> None:
    banking.import_(XML)
    account = BankStatement.objects.first().bank_account
    proof = prove(account)
    assert proof is not None
    assert (str(proof.opening), str(proof.waiting)) == ("-5.00 USD", "89.50 USD")
    assert (proof.holds, str(proof.closing), str(proof.booked)) == (True, "84.50 USD", "0.00 USD")
    banking.give_up()
    proof = prove(account)
    assert proof is not None
    assert (proof.holds, str(proof.booked), str(proof.waiting)) == (True, "89.50 USD", "0.00 USD")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"number": "DE89370400440532013001"}, "check digits"),
        ({"number": "??"}, "4 to 34 letters"),
        ({"currency": "XXX"}, "XXX"),
        ({"currency": "EUR"}, "another currency"),
        ({"psp_accounts": ["missing"]}, "no PSP account missing"),
        ({"psp_accounts": []}, "no PSP account is named"),
    ],
)
def test_an_account_that_cannot_be_is_refused(
    banking: Banking, change: dict[str, object], why: str
) -> None:
    code = banking.settling.shop.account.code
    given = {"number": IBAN, "currency": "USD", "psp_accounts": [code], "payouts_since": FIRST_DAY}
    with pytest.raises(ValueError, match=why):
        add_bank_account(author=TESTS, **{**given, **change})
