"""The lines that a PSP says to be in a payout are compared with it."""

from __future__ import annotations

import io
from typing import Any

import pytest

from payments.models import Case
from payments.services.psp_gateway.accounts import adapter_of
from reconciliation.models import PayoutSum
from reconciliation.services.matching.payout_sums import add_up_payouts
from reconciliation.services.matching.sweep import match_due_lines
from reconciliation.states import LineStatus
from reconciliation.tests.support.settling import Settling


def sums() -> list[tuple[Any, ...]]:
    rows = PayoutSum.objects.order_by("id")
    return list(rows.values_list("currency", "line_count", "lines_minor", "paid_minor"))


def take_in_file(settling: Settling, name: str) -> None:
    with io.BytesIO() as file:
        adapter = adapter_of(settling.shop.account)
        adapter.fetch_report(name, into=file, deadline_seconds=5)
        settling.read(file.getvalue(), name)
    match_due_lines()


def test_a_payout_whose_lines_add_up_to_it_is_no_case(settling: Settling) -> None:
    settling.desk.pay(9_000)
    settling.shop.psp.move_money(settling.api_key, "fee", -40, fee_minor=1)
    settling.close(pay_out=True)
    settling.take_in()
    assert {line.status for line in settling.lines()} == {LineStatus.MATCHED}
    assert sums() == [("USD", 2, 8_959, 8_959)]
    assert settling.booked() == {1100: 0, 1110: 0, 1120: 8_959, 5600: 41}
    assert not Case.objects.exists()
    assert add_up_payouts() == 0


@pytest.mark.parametrize("rules_off", [[], ["payout_adds_up"]])
def test_lines_that_come_later_close_the_case_unless_the_account_has_that_rule_off(
    settling: Settling, rules_off: list[str]
) -> None:
    settling.shop.account.rules_off = rules_off
    settling.shop.account.save(update_fields=["rules_off"])
    for number, minor in enumerate((9_000, 5_000, 4_000)):
        settling.desk.pay(minor, order_id=f"order-{number}")
    settling.shop.psp.spoil_report(settling.api_key, "split")
    name = settling.close(pay_out=True)
    take_in_file(settling, name.replace(".csv", "_2.csv"))
    assert sums() == [("USD", 1, 4_000, 18_000)]
    [case] = Case.objects.all()
    assert (case.discrepancy, case.amount_minor) == ("BATCH_SUM_MISMATCH", 14_000)
    assert "-140.00 USD are not explained" in case.summary
    take_in_file(settling, name.replace(".csv", "_1.csv"))
    assert sums() == [("USD", 3, 18_000, 18_000)]
    case.refresh_from_db()
    closed = ("open", "") if rules_off else ("closed", "rule:payout_adds_up")
    assert (case.status, case.closed_by) == closed


def test_lines_of_a_payout_that_no_line_reports_yet_are_not_judged(settling: Settling) -> None:
    settling.desk.pay(9_000)
    settling.shop.psp.spoil_report(settling.api_key, "missing_line", line=2)
    settling.close(pay_out=True)
    settling.take_in()
    assert sums() == [("USD", 1, 9_000, None)]
    assert not Case.objects.exists()
    assert PayoutSum.objects.get().difference is None
