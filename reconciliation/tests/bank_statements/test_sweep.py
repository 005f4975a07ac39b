"""Bank lines are matched to payouts by reference and amount; the rest is in suspense."""

from __future__ import annotations

import random
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from ledger.database.statements import execute
from ledger.models import LedgerTransaction
from payments.clock import now_utc
from payments.models import Case, PspAccount
from payments.services.verification.rebuild import differences
from payments.tests.verification.test_every_column import triggers_off
from paymentsite.tests.fixtures.matrix import examples, orders
from reconciliation.models import BankLine, SettlementLine
from reconciliation.services.bank_statements.contents import StatementUnreadable
from reconciliation.services.bank_statements.missing_payouts import first_day_in_time
from reconciliation.services.bank_statements.payouts import is_named
from reconciliation.services.bank_statements.sweep import match_due_bank_lines, requeue_lines
from reconciliation.services.bank_statements.verification import bank_line_differences
from reconciliation.states import LineStatus
from reconciliation.tests.support.banking import FIRST_DAY, Banking, camt, open_cases

PAYOUT = "l1 payout po_1234567 -9000 0"
RECEIPT = ("90.00", "ACME PAYOUT PO 1234567 MARCH")


def assert_all_agrees() -> None:
    assert [*differences(), *bank_line_differences()] == []


def test_a_payout_on_the_bank_is_booked_once_and_by_itself(banking: Banking) -> None:
    banking.report(PAYOUT)
    banking.import_(camt(RECEIPT, closing="90.00"))
    line = banking.match()[9_000]
    assert (line.status, line.payout.psp_id) == (LineStatus.MATCHED, "po_1234567")
    assert line.named_by == "po_1234567"
    assert banking.booked() == (9_000, 0, 0)
    [posted] = LedgerTransaction.objects.filter(source_type="bank_line")
    assert str(posted.effective_date) == "2026-03-02"
    match_due_bank_lines()
    assert LedgerTransaction.objects.filter(source_type="bank_line").count() == 1
    assert_all_agrees()


@pytest.mark.parametrize("order", orders(["payout", "return", "statement", "days"]))
def test_the_order_in_which_report_and_statement_come_changes_nothing(
    banking: Banking, order: tuple[str, ...]
) -> None:
    statement = camt(RECEIPT, ("-90.00", "po_1234567 returned"), closing="0")
    steps = {
        "payout": lambda: banking.report(PAYOUT),
        "return": lambda: banking.report("l2 payout_reversal po_1234567 9000 0"),
        "statement": lambda: banking.import_(statement),
        "days": banking.give_up,
    }
    for step in order:
        steps[step]()
        match_due_bank_lines()
    _make_due()
    match_due_bank_lines()
    assert banking.booked() == (0, 0, 0)
    assert {line.status for line in BankLine.objects.all()} == {LineStatus.MATCHED}
    assert open_cases() == []
    assert_all_agrees()


@pytest.mark.parametrize(
    ("reported", "entry", "code"),
    [
        ([PAYOUT], ("89.99", "po_1234567"), "BANK_AMOUNT_MISMATCH"),
        (
            [PAYOUT, "l2 payout po_7654321 -9000 0"],
            ("90.00", "po_1234567 and po_7654321"),
            "AMBIGUOUS",
        ),
        ([PAYOUT], ("90.00", "no reference at all"), "BANK_UNIDENTIFIED"),
        ([PAYOUT], ("90.00", "po_12345678"), "BANK_UNIDENTIFIED"),
        ([PAYOUT], ("-90.00", "po_1234567"), "BANK_UNIDENTIFIED"),
        (["l1 payout po_1 -9000 0"], ("90.00", "po_1"), "BANK_UNIDENTIFIED"),
        ([PAYOUT], ("-0.50", "Account fee"), "BANK_UNIDENTIFIED"),
    ],
)
def test_what_no_single_payout_explains_is_in_suspense_with_a_case(
    banking: Banking, reported: list[str], entry: tuple[str, str], code: str
) -> None:
    banking.report(*reported)
    banking.import_(camt(entry, closing=entry[0]))
    banking.match()
    if code == "BANK_UNIDENTIFIED":
        assert banking.booked()[0] == 0
        banking.give_up()
    [line] = BankLine.objects.all()
    assert (line.status, line.discrepancy) == (LineStatus.DEAD, code)
    assert code in open_cases()
    assert banking.booked()[0] == -banking.booked()[2] == line.amount_minor
    assert requeue_lines() == 1
    assert_all_agrees()
    banking.give_up()
    assert banking.booked()[0] == -banking.booked()[2] == line.amount_minor
    assert_all_agrees()


def test_a_second_bank_line_of_one_payout_is_given_up(banking: Banking) -> None:
    banking.report(PAYOUT)
    banking.import_(camt(RECEIPT, RECEIPT, closing="180.00"))
    banking.match()
    assert sorted(BankLine.objects.values_list("status", flat=True)) == ["dead", "matched"]
    assert banking.booked() == (18_000, 0, -9_000)
    assert open_cases() == ["BANK_UNIDENTIFIED"]
    assert_all_agrees()


def test_a_payout_that_no_bank_line_shows_is_a_case_until_one_does(banking: Banking) -> None:
    banking.report(PAYOUT, "l2 payout po_bounced -700 0", "l3 payout_reversal po_bounced 700 0")
    match_due_bank_lines()
    assert open_cases() == ["PAYOUT_NOT_ON_BANK"]
    case = Case.objects.get()
    assert "po_1234567" in case.summary
    match_due_bank_lines()
    assert Case.objects.count() == 1
    banking.import_(camt(RECEIPT, closing="90.00"))
    account = banking.settling.shop.account
    PspAccount.objects.filter(pk=account.pk).update(rules_off=["payout_on_bank"])
    banking.match()
    assert open_cases() == ["PAYOUT_NOT_ON_BANK"]
    PspAccount.objects.filter(pk=account.pk).update(rules_off=[])
    match_due_bank_lines()
    assert Case.objects.get().closed_by == "rule:payout_on_bank"


def test_a_statement_with_a_changed_digit_is_refused_or_explained_and_never_half_booked(
    banking: Banking,
) -> None:
    banking.report(PAYOUT)
    whole = camt(RECEIPT, ("-1.00", "fee"), closing="89.00")
    banking.import_(whole)
    banking.match()
    drawn, refused = random.Random(7), 0
    digits = [place for place, byte in enumerate(whole) if chr(byte).isdigit()]
    for place in drawn.sample(digits, examples(25, whole=len(digits))):
        changed = bytearray(whole)
        changed[place] = ord("7") if changed[place] != ord("7") else ord("3")
        before = BankLine.objects.count()
        try:
            banking.import_(bytes(changed), f"changed-{place}.xml")
        except StatementUnreadable:
            refused += 1
            assert BankLine.objects.count() == before
    banking.give_up()
    assert BankLine.objects.filter(status=LineStatus.MATCHED).count() == 1
    amounts = BankLine.objects.exclude(status=LineStatus.MATCHED).values_list("amount_minor")
    unexplained_minor = sum(minor for (minor,) in amounts)
    assert banking.booked() == (9_000 + unexplained_minor, 0, -unexplained_minor)
    assert len(open_cases()) >= BankLine.objects.count() - 1
    assert refused > 0
    assert_all_agrees()


def test_five_business_days_do_not_count_weekends() -> None:
    assert first_day_in_time(FIRST_DAY.replace(day=9)).isoformat() == "2026-03-02"
    assert first_day_in_time(FIRST_DAY.replace(day=8)).isoformat() == "2026-03-02"
    assert first_day_in_time(FIRST_DAY.replace(day=6)).isoformat() == "2026-02-27"


TEXTS = [
    *("PO_1234567", "po 12\n34567", "xpo_1234567", "po_12345678", "po_1234567ß", "éPO1234567é"),
    *("", "po_123456", "(po-12.34/567)", "pò_1234567", "POO1234567"),
]


def test_python_and_postgresql_agree_on_which_reference_a_text_names(database: None) -> None:
    drawn = random.Random(7)
    pairs = [(text, "po_1234567") for text in TEXTS]
    for _ in range(examples(1_000, whole=20_000)):
        key = "".join(drawn.choices("po1_ 5ß", k=drawn.randint(0, 12)))
        text = "".join(drawn.choices("po_1 Ö\n5P", k=drawn.randint(0, 24)))
        broken = "\n".join(key.upper())
        pairs.append((drawn.choice([text, f"{text} {key}.", f"{key}{text}", broken]), key))
    rows = execute(
        "SELECT reconciliation_names(text, key) FROM unnest(%s::text[], %s::text[]) "
        "WITH ORDINALITY AS pair (text, key, place) ORDER BY place",
        [[text for text, _ in pairs], [key for _, key in pairs]],
    )
    named = [is_named(text, key) for text, key in pairs]
    assert named == [each for (each,) in rows]
    assert 100 < sum(named) < len(named) / 2


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"named_by": "po_7654321"}, "bank_line_differs_from_payout"),
        ({"named_by": ""}, "bank_line_waits_or_is_done|bank_line_differs"),
        ({}, "bank_line_differs_from_books"),
    ],
)
def test_postgresql_refuses_a_match_that_breaks_a_rule(
    banking: Banking, change: dict[str, Any], refusal: str
) -> None:
    banking.report(PAYOUT, "l2 payout po_7654321 -100 0")
    banking.import_(camt(RECEIPT, closing="90.00"))
    payout = SettlementLine.objects.get(psp_id="po_1234567")
    given: dict[str, Any] = {"named_by": "po_1234567", **change}
    with pytest.raises(IntegrityError, match=refusal), transaction.atomic():
        BankLine.objects.update(
            status=LineStatus.MATCHED,
            payout=payout,
            matched_at=now_utc(),
            next_attempt_at=None,
            **given,
        )
    other = SettlementLine.objects.get(psp_id="po_7654321")
    with pytest.raises(IntegrityError, match="differs_from_payout"), transaction.atomic():
        BankLine.objects.update(
            status=LineStatus.MATCHED,
            payout=other,
            named_by="po_1234567",
            matched_at=now_utc(),
            next_attempt_at=None,
        )
    with pytest.raises(IntegrityError, match="differs_from_books"), transaction.atomic():
        BankLine.objects.update(status=LineStatus.DEAD, given_up_at=now_utc(), next_attempt_at=None)
    assert BankLine.objects.get().status == LineStatus.OPEN
    assert banking.booked() == (0, 9_100, 0)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("UPDATE ledger_entry SET amount_minor = 1", "should have booked 90.00 USD on 1200"),
        (
            "UPDATE ledger_account SET dimension = 'elsewhere' WHERE code = 1120",
            "it has booked 90.00 USD there and 0.00 USD against it",
        ),
        (
            "UPDATE ledger_transaction SET source_id = gen_random_uuid() "
            "WHERE source_type = 'bank_line'",
            "is of no bank line",
        ),
    ],
)
def test_bookings_that_were_changed_by_hand_are_named(
    banking: Banking, owner_cursor: Any, change: str, told: str
) -> None:
    banking.report(PAYOUT)
    banking.import_(camt(RECEIPT, closing="90.00"))
    banking.match()
    assert_all_agrees()
    with triggers_off(owner_cursor, change.split()[1]):
        owner_cursor.execute(change)
    assert any(told in each for each in bank_line_differences())


def _make_due() -> None:
    BankLine.objects.filter(next_attempt_at__isnull=False).update(next_attempt_at=now_utc())
