"""The closed list of discrepancies: each code is found once by a seeded defect, none falsely."""

from __future__ import annotations

import re
import uuid
from collections import Counter
from pathlib import Path

import psycopg
import pytest
from django.db import IntegrityError, transaction

import reconciliation
from ledger import settlement_rules as rules
from ledger.database.statements import execute
from ledger.exceptions import AlreadyPosted
from ledger.money import Money
from ledger.posting_rules import Parties
from ledger.services import post
from payments.models import Case, Operation
from payments.services.cases.opening import case_about_account, open_case
from payments.states import CaseKind
from payments.tests.support.shop import body_of
from reconciliation import tasks
from reconciliation.discrepancies import ADVICE, OF_LINES, Discrepancy
from reconciliation.models import SettlementLine
from reconciliation.selectors import discrepancies_of, unmatched_lines
from reconciliation.services.matching.line_bookings import source_of
from reconciliation.services.matching.reprocess import requeue_lines
from reconciliation.services.matching.sweep import match_due_lines
from reconciliation.states import LineStatus
from reconciliation.tests.support.settling import Settling, money_rows, speak_plainly

D = Discrepancy


@pytest.fixture
def plain(settling: Settling, monkeypatch: pytest.MonkeyPatch) -> Settling:
    """The PSP's reports are plain lines, and are imported by hand."""
    speak_plainly(settling.shop, monkeypatch)
    return settling


def operation(settling: Settling, *, currency: str = "USD", refunded: bool = False) -> Operation:
    """The capture of a new order, or its refund."""
    settling.shop.order_id = f"order-{uuid.uuid4().hex[:12]}"
    intent_id = settling.desk.pay(9_000, currency=currency)
    if refunded:
        settling.shop.refund(intent_id)
    return settling.shop.operations(intent_id)[-1]


def twice_captured(settling: Settling) -> Operation:
    """One of two equal captures of a new payment."""
    settling.shop.order_id = f"order-{uuid.uuid4().hex[:12]}"
    intent_id = body_of(settling.shop.create(1_000, manual=True))["id"]
    for is_last in (False, True):
        settling.shop.capture(intent_id, 500, final=is_last)
    return settling.shop.operations(intent_id)[-1]


def seeded(settling: Settling) -> tuple[list[str], dict[str, Discrepancy]]:
    """Healthy rows, and by defective row its code."""
    healthy = [f"ok{n} charge {operation(settling).psp_id} 9000 100" for n in range(4)]
    twice = healthy[0].split()[2]
    return [*healthy, "ok9 payout po_1 -9000 25"], {
        "d1 charge cap_stranger 9000 0": D.MISSING_INTERNAL,
        f"d2 charge {operation(settling).psp_id} 9001 0": D.AMOUNT_MISMATCH,
        f"dp charge {operation(settling).psp_id} 8999 0": D.PARTIAL_SETTLEMENT,
        f"d3 charge {operation(settling, currency='EUR').psp_id} 9000 0": D.CURRENCY_MISMATCH,
        f"d4 refund {operation(settling).psp_id} -9000 0": D.TYPE_MISMATCH,
        f"d5 refund_failure {operation(settling, refunded=True).psp_id} 9000 0": D.STATUS_MISMATCH,
        f"d6 charge {twice} 9000 0": D.DUPLICATE_AT_PSP,
        "d7 surprise x_1 0 5": D.UNKNOWN_LINE_TYPE,
        "d8 charge cap_x -9000 0": D.MALFORMED_LINE,
        f"da charge {twice_captured(settling).psp_payment_id} 500 0": D.AMBIGUOUS,
        "d9 dispute sdp_silent -9000 0": D.PSP_UNANSWERED,
        "d0 payout po_booked -100 0": D.ATTEMPT_FAILED,
    }


def book_before(line: SettlementLine) -> None:
    """What no rule of ours does: the books know the line already."""
    with transaction.atomic():
        post(
            [
                rules.payout(
                    Parties(psp_account=line.psp_account.code, merchant=""), Money(1, "USD")
                )
            ],
            source_type=rules.SOURCE,
            source_id=source_of(line.pk),
            payment_id=None,
            merchant_id=None,
            psp_account=line.psp_account.code,
        )


def test_each_code_of_a_line_is_found_once_by_its_defect_and_none_falsely(plain: Settling) -> None:
    healthy, defects = seeded(plain)
    plain.read("\n".join(healthy).encode(), "first.csv")
    match_due_lines()
    report = plain.read("\n".join([*healthy, *defects]).encode(), "second.csv")
    book_before(plain.lines(identity="d0")[0])
    silent = "/v1/disputes/sdp_silent"
    plain.shop.psp.script({"down": 1}, times=None, kind="look_up", path=silent)
    with pytest.raises(AlreadyPosted):
        match_due_lines()
    match_due_lines()
    found = {line.identity: line.discrepancy for line in plain.lines()}
    wanted = {row.split()[0]: code.value for row, code in defects.items()}
    assert found == {row.split()[0]: "" for row in healthy} | wanted
    assert set(wanted.values()) == {code.value for code in OF_LINES}
    assert unmatched_lines() == dict.fromkeys(wanted.values(), 1.0)
    assert discrepancies_of([report.pk]) == {report.pk: dict.fromkeys(sorted(wanted.values()), 1)}
    dead = {line.discrepancy for line in plain.lines(status=LineStatus.DEAD)}
    assert Counter(Case.objects.values_list("discrepancy", flat=True)) == dict.fromkeys(dead, 1)


def test_a_run_says_what_it_did_and_which_rules_closed_cases(plain: Settling) -> None:
    plain.read(b"l1 surprise x_1 0 5\nl2 payout po_1 -1 0\nl3 charge cap_stranger 100 0")
    assert tasks.match_settlement_lines() == "3: 1 matched, 1 left for later, 1 given up"
    SettlementLine.objects.filter(identity="l1").update(kind="fee")
    assert requeue_lines() == 1
    told = tasks.match_settlement_lines()
    assert told == "1: 1 matched; cases closed by rules: 1 line_matched"
    assert tasks.match_settlement_lines() == "0"


def test_a_requeued_line_has_no_discrepancy_until_it_was_attempted(plain: Settling) -> None:
    plain.read(b"l1 surprise x_1 0 5")
    match_due_lines()
    assert requeue_lines() == 1
    assert [line.discrepancy for line in plain.lines()] == [""]
    match_due_lines()
    assert [line.discrepancy for line in plain.lines()] == [D.UNKNOWN_LINE_TYPE]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE reconciliation_settlement_line SET discrepancy = ''",
        "UPDATE reconciliation_settlement_line SET discrepancy = 'ODD'",
        "UPDATE reconciliation_settlement_line SET discrepancy = 'FILE_GAP'",
        "UPDATE reconciliation_settlement_line SET status = 'open', next_attempt_at = now()",
    ],
)
def test_postgresql_refuses_an_unmatched_line_without_a_code_of_the_list(
    plain: Settling, owner_cursor: psycopg.Cursor[object], change: str
) -> None:
    plain.read(b"l1 surprise x_1 0 5")
    match_due_lines()
    before = money_rows()
    with pytest.raises(psycopg.Error, match="line_unmatched_has_its_discrepancy"):
        owner_cursor.execute(change)
    assert [line.discrepancy for line in plain.lines()] == [D.UNKNOWN_LINE_TYPE]
    assert money_rows() == before


def test_postgresql_has_the_same_list_for_cases(settling: Settling) -> None:
    sql = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = %s"
    [(text,)] = execute(sql, ["case_discrepancy_is_known"])
    assert set(re.findall(r"'(\w*)'", text)) == {"", *Discrepancy.values}
    odd = case_about_account(
        CaseKind.CONTRADICTION, settling.shop.account, "?", subject="x", discrepancy="ODD"
    )
    with pytest.raises(IntegrityError, match="case_discrepancy_is_known"), transaction.atomic():
        open_case(odd)
    assert not Case.objects.exists()


def test_every_code_says_what_an_operator_does() -> None:
    assert set(ADVICE) == set(Discrepancy)


def test_each_code_of_a_file_is_found_once(plain: Settling) -> None:
    plain.read(b"cut", "cut.csv")
    plain.read(b"l1 payout po_1 -1 0", "changed.csv")
    assert not Case.objects.exclude(discrepancy=D.FILE_UNREADABLE).exists()
    plain.read(b"l2 payout po_2 -1 0", "changed.csv")
    plain.read(b"l2 payout po_2 -2 0", "another.csv")
    found = Counter(Case.objects.values_list("discrepancy", flat=True))
    assert found == {D.FILE_UNREADABLE: 1, D.FILE_CHANGED: 2}


def test_every_code_is_found_by_a_part_of_the_product() -> None:
    folder = Path(reconciliation.__file__).parent
    code = "\n".join(
        path.read_text()
        for path in folder.rglob("*.py")
        if "tests" not in path.parts and path.name != "discrepancies.py"
    )
    assert {each for each in Discrepancy if f"Discrepancy.{each.name}" not in code} == set()
