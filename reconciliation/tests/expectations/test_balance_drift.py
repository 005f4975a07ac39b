"""What a PSP says that it holds is compared with the books, once all that moved before is due."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.core.management import call_command

from payments.clock import now_utc
from payments.models import Case, PspAccount
from payments.services.commands.operators.cases import close_case
from payments.tests.support.factories import staff
from payments.tests.support.shop import open_shop
from psp_adapters.tests.support.sandbox_process import SandboxProcess
from reconciliation.discrepancies import Discrepancy
from reconciliation.models import StatedBalance
from reconciliation.services.expectations import balance_drift
from reconciliation.services.expectations.balance_drift import watch_balances
from reconciliation.services.reports import reading
from reconciliation.tests.support.settling import Settling, money_rows

LATER = timedelta(days=10)


@pytest.fixture(scope="module")
def punctual_psp() -> Iterator[SandboxProcess]:
    """A PSP whose clock no test moves."""
    with SandboxProcess() as process:
        yield process


@pytest.fixture
def settling(database: None, punctual_psp: SandboxProcess) -> Iterator[Settling]:
    punctual_psp.set_behavior(settlement_period_seconds=0)
    yield Settling(open_shop(punctual_psp))
    punctual_psp.heal()


def judge() -> int:
    """As ten days later; the PSP is asked again, now."""
    return watch_balances(now=now_utc() + LATER)


def pay_out_fee(settling: Settling, fee_minor: int) -> None:
    settling.shop.psp.move_money(settling.api_key, "fee", 0, fee_minor=fee_minor)


def settle(settling: Settling) -> None:
    settling.close()
    settling.take_in()


def test_what_is_under_way_when_the_psp_is_asked_is_no_drift(
    settling: Settling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(balance_drift, "CLOCKS_DIFFER_BY", timedelta())
    psp = settling.shop.psp
    psp.control("PUT", "processing_fee", {"basis_points": 140, "fixed_minor": 25})
    settling.desk.pay(9_000)
    settle(settling)
    settling.desk.pay(5_000, order_id="in-no-report-yet")
    settling.disputed(4_000)
    assert watch_balances() == 0, "nothing is due on the day itself"
    settle(settling)
    settling.desk.pay(3_000, order_id="after-the-answer")
    settling.disputed(2_000)
    settle(settling)
    before = money_rows()
    assert judge() == 1
    [row, _] = StatedBalance.objects.order_by("id")
    assert row.drift is not None
    assert (row.books, row.drift.minor, Case.objects.count()) == (row.stated, 0, 0)
    assert money_rows() == before
    psp.control("PUT", "processing_fee", {"basis_points": 0, "fixed_minor": 0})


def test_a_drift_is_one_case_until_the_balances_agree(
    settling: Settling, capsys: pytest.CaptureFixture[str]
) -> None:
    settling.desk.pay(9_000)
    settle(settling)
    pay_out_fee(settling, 40)
    assert [watch_balances(), judge(), judge()] == [0, 1, 1]
    [case] = Case.objects.all()
    assert (case.discrepancy, case.amount_minor) == (Discrepancy.BALANCE_DRIFT, 40)
    assert "stated to hold 89.60 USD; by its reports and our books it was 90.00" in case.summary
    call_command("settlement_reports", balances=True)
    told = capsys.readouterr().out
    assert "states 89.60 USD: by our books 90.00 USD, BALANCE_DRIFT -0.40 USD" in told
    assert "not judged yet" in told
    settle(settling)
    judge()
    case.refresh_from_db()
    assert (case.status, case.closed_by) == ("closed", "rule:balance_agrees")


def test_a_drift_that_an_operator_explained_is_a_case_again_only_if_it_changes(
    settling: Settling,
) -> None:
    settling.desk.pay(9_000)
    settle(settling)
    pay_out_fee(settling, 40)
    watch_balances()
    judge()
    close_case(Case.objects.get().id, author=staff("ada"), resolution="From before our books.")
    assert judge() == 1
    assert Case.objects.count() == 1
    pay_out_fee(settling, 2)
    judge()
    judge()
    assert [each.amount_minor for each in Case.objects.order_by("id")] == [40, 42]


@pytest.mark.parametrize("why", ["a line waits", "no report comes", "not watched"])
def test_an_account_is_not_judged_while_its_reports_are_not_all_here(
    settling: Settling, why: str
) -> None:
    settling.desk.pay(9_000)
    pay_out_fee(settling, 40)
    watch_balances()
    settling.close()
    if why == "a line waits":
        settling.fetch()
        reading.read_due_reports()
    elif why == "not watched":
        PspAccount.objects.update(settlement_calendar={"watched": False})
    else:
        Case.objects.create(
            kind="not_settled",
            livemode=False,
            subject=f"reports of {settling.shop.account.code}",
            summary="?",
            opened_at=now_utc(),
        )
    assert judge() == 0
    assert not StatedBalance.objects.filter(judged_at__isnull=False).exists()
    assert not Case.objects.filter(discrepancy=Discrepancy.BALANCE_DRIFT).exists()


def test_a_psp_that_does_not_answer_delays_no_other(settling: Settling) -> None:
    other = open_shop(settling.shop.psp).account
    settling.desk.pay(9_000)
    settling.shop.psp.script({"down": 1}, times=None, kind="report", api_key=settling.api_key)
    watch_balances()
    assert not StatedBalance.objects.filter(psp_account=settling.shop.account).exists()
    settling.shop.psp.heal()
    Settling(open_shop(settling.shop.psp))
    watch_balances()
    assert StatedBalance.objects.filter(psp_account=settling.shop.account).count() == 1
    assert not StatedBalance.objects.filter(psp_account=other).exists(), "it holds nothing"
