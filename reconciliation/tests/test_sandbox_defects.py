"""Each defect that the sandbox PSP makes on command is found under its code and under no other."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import pytest

from payments.clock import now_utc
from payments.models import Case
from payments.services.psp_gateway.accounts import adapter_of
from payments.tests.support.dispute_desk import LONG_AGO
from payments.tests.support.factories import TESTS
from payments.tests.support.shop import body_of
from psp_adapters.sandbox_psp.rules.bank import STATEMENT_DEFECTS
from psp_adapters.sandbox_psp.rules.report_defects import DEFECTS
from reconciliation.discrepancies import Discrepancy as D
from reconciliation.models import BankLine, ReportFetch, SettlementLine
from reconciliation.services.bank_statements import missing_payouts
from reconciliation.services.bank_statements.accounts import add_bank_account
from reconciliation.services.bank_statements.storing import store_statements
from reconciliation.services.bank_statements.sweep import match_due_bank_lines
from reconciliation.services.expectations.balance_drift import watch_balances
from reconciliation.services.expectations.remainder import remainders_of
from reconciliation.services.expectations.watching import watch_settlements
from reconciliation.services.matching.sweep import match_due_lines
from reconciliation.states import LineStatus
from reconciliation.tests.expectations.test_watching import let_days_pass
from reconciliation.tests.support.banking import FIRST_DAY
from reconciliation.tests.support.settling import Settling, money_rows

Play = Callable[..., None]
"""Plays one defect, given the shop and the owner's cursor."""
LATER: Final = timedelta(days=15)
NOT_OF_A_PSP: Final = {D.ATTEMPT_FAILED}
"""It is a defect of our software."""


def pay(settling: Settling, *amounts_minor: int) -> None:
    for amount_minor in amounts_minor:
        settling.desk.pay(amount_minor, order_id=f"order-of-{amount_minor}-{now_utc()}")


def report_with(*defects: str) -> Play:
    """The PSP reports three payments, the first of them with these defects."""

    def play(settling: Settling, _: Any = None) -> None:
        pay(settling, 9_000, 5_000, 4_000)
        for defect in defects:
            settling.shop.psp.spoil_report(settling.api_key, defect)
        settling.close()
        settling.take_in()

    return play


def fee_is_not_agreed(settling: Settling, _: Any) -> None:
    agree_on(settling, {"basis_points": 0})
    report_with("wrong_fee")(settling)
    assert {line.status for line in settling.lines()} == {LineStatus.MATCHED}


def amount_is_not_at_its_rate(settling: Settling, _: Any) -> None:
    pay(settling, 1)  # The PSP knows no account before.
    settling.close()
    settling.shop.psp.settle_in(settling.api_key, "EUR", USD="0.92")
    report_with("wrong_conversion")(settling)
    assert {line.status for line in settling.lines()} == {LineStatus.MATCHED}


def payout_does_not_add_up(settling: Settling, _: Any) -> None:
    pay(settling, 9_000, 5_000)
    settling.shop.psp.spoil_report(settling.api_key, "missing_line")
    settling.close(pay_out=True)
    settling.take_in()


def agree_on(settling: Settling, *costs: dict[str, Any]) -> None:
    """What charges cost at the shop's account, by its terms."""
    settling.shop.account.costs = list(costs)
    settling.shop.account.save(update_fields=["costs"])


def line_is_missing(settling: Settling, owner_cursor: Any) -> None:
    report_with("missing_line")(settling)
    let_days_pass(owner_cursor)
    watch_settlements()


def balance_differs(settling: Settling, _: Any) -> None:
    report_with("missing_line")(settling)
    watch_balances()
    watch_balances(now=now_utc() + LATER)


def line_comes_late(settling: Settling, owner_cursor: Any) -> None:
    psp = settling.shop.psp
    pay(settling, 9_000)
    psp.move_money(settling.api_key, "fee", -1)
    psp.set_behavior(settlement_period_seconds=0, late_lines=1.0)
    settling.close()
    settling.take_in()
    let_days_pass(owner_cursor)
    watch_settlements()
    psp.set_behavior(settlement_period_seconds=0)
    settling.close()
    settling.take_in()
    watch_settlements()


def psp_does_not_answer(settling: Settling, _: Any) -> None:
    settling.shop.psp.script({"down": 1}, times=None, kind="look_up", api_key=settling.api_key)
    report_with("unknown_id")(settling)


def file_does_not_come(settling: Settling, _: Any) -> None:
    report_with("absent")(settling)
    fetches = ReportFetch.objects.exclude(name="")
    fetches.update(failing_since=LONG_AGO, attempts=9)
    settling.take_in()


def file_comes_again_changed(settling: Settling, _: Any) -> None:
    report_with()(settling)
    [report] = settling.take_in()
    psp = settling.shop.psp
    psp.spoil_report(settling.api_key, "wrong_amount", report=report.name)
    with io.BytesIO() as file:
        adapter = adapter_of(settling.shop.account)
        adapter.fetch_report(report.name, into=file, deadline_seconds=5)
        settling.read(file.getvalue(), report.name)
    match_due_lines()


def statement_with(defect: str) -> Play:
    """The bank's statement of two payouts of one amount has a defect; days pass."""

    def play(settling: Settling, _: Any = None) -> None:
        psp, key = settling.shop.psp, settling.api_key
        for _ in range(2):
            pay(settling, 9_000)
            settling.close()
            psp.pay_out(key)
        settling.close()
        settling.take_in()
        [statement] = psp.bank_statements(key, defect=defect)
        add_bank_account(
            number=statement["account"],
            currency="USD",
            psp_accounts=[settling.shop.account.code],
            payouts_since=FIRST_DAY,
            author=TESTS,
        )
        body = statement["body"].encode()
        store_statements(name=statement["name"], body=body, imported_by="staff:ada")
        match_due_bank_lines()
        waiting = BankLine.objects.filter(next_attempt_at__isnull=False)
        waiting.update(retrying_since=LONG_AGO, next_attempt_at=LONG_AGO, attempts=9)
        match_due_bank_lines()

    return play


FOUND: Final[dict[D, Play]] = {
    D.MISSING_INTERNAL: report_with("foreign_line"),
    D.AMOUNT_MISMATCH: report_with("wrong_amount"),
    D.CURRENCY_MISMATCH: report_with("wrong_currency"),
    D.TYPE_MISMATCH: report_with("wrong_type"),
    D.STATUS_MISMATCH: report_with("reversal_line"),
    D.DUPLICATE_AT_PSP: report_with("doubled_line"),
    D.PARTIAL_SETTLEMENT: report_with("part_line"),
    D.UNKNOWN_LINE_TYPE: report_with("correction_line"),
    D.MALFORMED_LINE: report_with("wrong_sign"),
    D.PSP_UNANSWERED: psp_does_not_answer,
    D.FEE_VARIANCE: fee_is_not_agreed,
    D.FX_VARIANCE: amount_is_not_at_its_rate,
    D.BATCH_SUM_MISMATCH: payout_does_not_add_up,
    D.MISSING_AT_PSP: line_is_missing,
    D.LATE_SETTLEMENT: line_comes_late,
    D.BALANCE_DRIFT: balance_differs,
    D.FILE_GAP: file_does_not_come,
    D.FILE_CHANGED: file_comes_again_changed,
    D.FILE_UNREADABLE: report_with("truncated"),
    D.BANK_UNIDENTIFIED: statement_with("foreign_entry"),
    D.BANK_AMOUNT_MISMATCH: statement_with("wrong_amount"),
    D.AMBIGUOUS: statement_with("two_payouts"),
}
HARMLESS: Final = ("renamed", "split", "overlapping", "repeated_line", "parted_line")


def codes() -> set[str]:
    """Every code that a line, a bank line or a case has, or that closed a case."""
    found = set(SettlementLine.objects.values_list("discrepancy", flat=True))
    found |= set(BankLine.objects.values_list("discrepancy", flat=True))
    for case in Case.objects.all():
        is_late = D.LATE_SETTLEMENT in case.resolution
        found.add(D.LATE_SETTLEMENT if is_late else case.discrepancy)
    return found - {""}


@pytest.mark.parametrize("code", FOUND)
def test_a_defect_is_found_under_its_code_and_under_no_other(
    settling: Settling, owner_cursor: Any, code: D
) -> None:
    FOUND[code](settling, owner_cursor)
    assert codes() == {code}


def pay_in_two_captures(settling: Settling, *amounts_minor: int) -> None:
    intent_id = body_of(settling.shop.create(10_000, manual=True))["id"]
    for amount_minor, is_last in zip(amounts_minor, (False, True), strict=True):
        settling.shop.capture(intent_id, amount_minor, final=is_last)


def test_a_line_that_names_its_payment_alone_is_found_to_fit_two_captures(
    settling: Settling,
) -> None:
    pay_in_two_captures(settling, 5_000, 5_000)
    settling.shop.psp.spoil_report(settling.api_key, "missing_line", line=2)
    settling.shop.psp.spoil_report(settling.api_key, "payment_line")
    settling.close()
    settling.take_in()
    assert codes() == {D.AMBIGUOUS}


def test_one_line_for_all_captures_of_a_payment_is_no_defect(settling: Settling) -> None:
    pay_in_two_captures(settling, 6_000, 4_000)
    settling.shop.psp.spoil_report(settling.api_key, "merged")
    settling.close()
    settling.take_in()
    assert [line.status for line in settling.lines()] == [LineStatus.MATCHED]
    assert codes() == set()
    [remainder] = remainders_of(settling.shop.account)
    assert remainder.stated == remainder.explained


def test_a_payout_that_the_bank_does_not_show_is_found(
    settling: Settling, monkeypatch: pytest.MonkeyPatch
) -> None:
    statement_with("missing_payout")(settling)
    assert codes() == set()
    later = now_utc() + LATER
    monkeypatch.setattr(missing_payouts, "now_utc", lambda: later)
    match_due_bank_lines()
    assert codes() == {D.PAYOUT_NOT_ON_BANK}


@pytest.mark.parametrize("defect", HARMLESS)
def test_files_that_say_the_same_in_another_way_change_nothing(
    settling: Settling, defect: str
) -> None:
    report_with(defect)(settling)
    before = money_rows()
    settling.take_in()
    assert {line.status for line in settling.lines()} == {LineStatus.MATCHED}
    assert len(settling.lines()) == (4 if defect == "parted_line" else 3)
    assert codes() == set()
    [remainder] = remainders_of(settling.shop.account)
    assert remainder.stated == remainder.explained
    assert money_rows() == before


def test_the_list_of_codes_and_of_defects_is_whole() -> None:
    assert set(FOUND) | NOT_OF_A_PSP | {D.PAYOUT_NOT_ON_BANK} == set(D)
    played = {"none", "unknown_id", "missing_line", "absent", *HARMLESS}
    played |= {"wrong_conversion", "wrong_fee", "wrong_fee_parts"}  # matching/test_operation_lines
    played |= {"foreign_line", "part_line", "payment_line", "merged", "reversal_line"}
    played |= {"wrong_amount", "wrong_currency", "wrong_type"}
    assert played | {"doubled_line", "correction_line", "wrong_sign", "truncated"} == set(DEFECTS)
    assert set(STATEMENT_DEFECTS) == {
        *("missing_payout", "wrong_amount", "foreign_entry", "two_payouts"),
    }
