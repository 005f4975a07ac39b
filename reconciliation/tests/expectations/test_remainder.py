"""The unexplained remainder of an account: the PSP's statement beside our books."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import call_command

from ledger.money import Money
from reconciliation.discrepancies import Discrepancy
from reconciliation.services.expectations.remainder import (
    NOT_ATTEMPTED,
    Remainder,
    remainders_of,
)
from reconciliation.services.expectations.watching import watch_settlements
from reconciliation.services.reports import reading
from reconciliation.tests.expectations.test_watching import let_days_pass
from reconciliation.tests.support.settling import Settling, speak_plainly


def usd(minor: int) -> Money:
    return Money(minor, "USD")


def only(settling: Settling) -> Remainder:
    [found] = remainders_of(settling.shop.account)
    return found


def test_what_is_expected_and_what_lines_explain_leaves_nothing(settling: Settling) -> None:
    assert remainders_of(settling.shop.account) == []
    intent_id = settling.desk.pay(9_000)
    settling.shop.refund(intent_id, 1_000)
    before = only(settling)
    assert (before.explained, before.expected) == (usd(0), usd(8_000))
    assert before.stated is not None
    fees = usd(8_000) - before.stated
    assert before.rest == usd(0) - fees, "no report has named the fees yet"
    assert before.name_of_rest == "rest"
    settling.close()
    settling.fetch()
    reading.read_due_reports()
    waiting = only(settling)
    assert (waiting.expected, waiting.rest) == (usd(0), usd(0))
    assert waiting.breaks == {NOT_ATTEMPTED: before.stated}
    settling.take_in()
    after = only(settling)
    assert (after.explained, after.unexplained, after.breaks) == (before.stated, usd(0), {})


def test_each_break_is_named_by_its_code_and_the_rest_is_a_drift(
    settling: Settling, capsys: pytest.CaptureFixture[str]
) -> None:
    settling.desk.pay(9_000)
    psp = settling.shop.psp
    psp.move_money(settling.api_key, "other_adjustment", -700, fee_minor=1)
    settling.close()
    settling.take_in()
    found = only(settling)
    assert found.breaks == {Discrepancy.UNKNOWN_LINE_TYPE: usd(-701)}
    assert (found.unexplained, found.rest) == (usd(-701), usd(0))
    psp.move_money(settling.api_key, "fee", 0, fee_minor=40)
    found = only(settling)
    assert (found.unexplained, found.rest) == (usd(-741), usd(-40))
    assert found.name_of_rest == Discrepancy.BALANCE_DRIFT
    call_command("settlement_reports", remainder=True, account=settling.shop.account.code)
    told = " ".join(capsys.readouterr().out.split())
    assert "UNEXPLAINED -7.41 USD UNKNOWN_LINE_TYPE -7.01 USD BALANCE_DRIFT -0.40 USD" in told


def test_an_overdue_item_is_expected_no_more_and_an_operation_that_a_line_names_is_not_twice(
    settling: Settling, owner_cursor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    paid = [settling.desk.pay(9_000, order_id=f"order-of-{n}") for n in range(3)]
    speak_plainly(settling.shop, monkeypatch)
    charges = [settling.shop.operations(each)[0].psp_id for each in paid]
    let_days_pass(owner_cursor)
    settling.read(f"l1 charge {charges[0]} 9001 0\nl2 charge {charges[1]} 9000 5".encode())
    settling.take_in()
    assert watch_settlements() == 1
    found = only(settling)
    assert (found.explained, found.missing, found.expected) == (usd(8_995), usd(9_000), usd(0))
    assert found.breaks == {Discrepancy.AMOUNT_MISMATCH: usd(9_001)}


def test_a_psp_that_does_not_answer_is_named_and_the_others_are_shown(
    settling: Settling, capsys: pytest.CaptureFixture[str]
) -> None:
    settling.desk.pay(9_000)
    settling.shop.psp.script({"down": 1}, kind="report")
    call_command("settlement_reports", remainder=True)
    assert "the PSP could not be asked" in capsys.readouterr().out


def test_a_currency_without_a_break_takes_one_line_and_empty_ones_one_together(
    settling: Settling, capsys: pytest.CaptureFixture[str]
) -> None:
    for currency in ("USD", "EUR", "GBP"):
        intent_id = settling.desk.pay(9_000, currency=currency, order_id=f"in-{currency}")
        if currency != "USD":
            settling.shop.refund(intent_id)
    settling.close()
    settling.take_in()
    call_command("settlement_reports", remainder=True, account=settling.shop.account.code)
    code = settling.shop.account.code
    assert capsys.readouterr().out.splitlines() == [
        f"{code} USD: the PSP states 90.00 USD, as its lines explain; UNEXPLAINED 0.00 USD",
        f"{code} EUR, GBP: nothing held, nothing expected",
    ]
