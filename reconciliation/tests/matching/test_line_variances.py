"""A fee that is not the agreed one is booked as the PSP says, and finance is told once a report."""

from __future__ import annotations

import io
from datetime import timedelta

import pytest
from django.core.management import call_command

from payments.models import Case
from payments.services.psp_gateway.accounts import adapter_of
from payments.services.verification.rebuild import differences
from reconciliation.models import LineVariance, SettlementLine
from reconciliation.services.matching import variance_cases
from reconciliation.services.matching.preview import lines_of, preview_report
from reconciliation.services.matching.sweep import match_due_lines
from reconciliation.services.matching.variance_cases import tell_variances
from reconciliation.services.verification import line_differences
from reconciliation.states import LineStatus
from reconciliation.tests.support.settling import Settling, speak_plainly
from reconciliation.tests.test_sandbox_defects import agree_on

NOTHING = {"basis_points": 0, "fixed_minor": 0}


@pytest.fixture
def plain(settling: Settling, monkeypatch: pytest.MonkeyPatch) -> Settling:
    """The PSP's reports are plain lines, and are imported by hand."""
    speak_plainly(settling.shop, monkeypatch)
    return settling


def charges(settling: Settling, *amounts_minor: int) -> list[str]:
    """The PSP's ids of so many sales."""
    found = []
    for number, minor in enumerate(amounts_minor):
        intent_id = settling.desk.pay(minor, order_id=f"order-{number}")
        found.append(settling.shop.operations(intent_id)[0].psp_id)
    return found


def noted() -> list[tuple[str, int, int]]:
    rows = LineVariance.objects.order_by("component")
    return list(rows.values_list("component", "agreed_minor", "stated_minor"))


def test_a_fee_and_its_components_are_compared_with_what_is_agreed_of_each(
    settling: Settling,
) -> None:
    agree_on(
        settling,
        *({"basis_points": 140}, {"component": "markup", "basis_points": 20, "currency": "USD"}),
        *({"component": "scheme_fee", "basis_points": 9}, {"method": "ideal", "basis_points": 1}),
    )
    psp = settling.shop.psp
    shares = {"interchange_basis_points": 100, "scheme_fee_basis_points": 9}
    psp.control("PUT", "processing_fee", {"basis_points": 140, "fixed_minor": 25, **shares})
    settling.desk.pay(10_000)
    psp.control("PUT", "processing_fee", NOTHING)
    settling.close()
    settling.take_in()
    assert noted() == [("", 140, 165), ("markup", 20, 56)]
    assert settling.booked() == {1100: 0, 1110: 9_835, 5100: 56, 5110: 100, 5120: 9}
    [case] = Case.objects.all()
    assert (case.discrepancy, case.amount_minor) == ("FEE_VARIANCE", 25)
    assert "fee of 1, 0.25 USD more and 0.00 USD less; markup of 1, 0.36" in case.summary
    assert [*differences(), *line_differences()] == []


def test_rounding_and_parts_and_other_kinds_of_lines_are_no_variance(plain: Settling) -> None:
    agree_on(plain, {"basis_points": 150})
    first, second, third = charges(plain, 1_033, 1_000, 2_000)
    rows = (f"charge {first} 1033 16", f"charge {second} 1000 17", f"charge {third} 2000 28")
    plain.read(
        "\n".join([*(f"l{n} {row}" for n, row in enumerate(rows)), "l9 fee x 0 99"]).encode()
    )
    match_due_lines()
    assert {line.status for line in plain.lines()} == {LineStatus.MATCHED}
    assert noted() == [("", 15, 17), ("", 30, 28)]
    [case] = Case.objects.all()
    assert "fee of 2, 0.02 USD more and 0.02 USD less" in case.summary


def test_a_report_is_told_of_once_it_is_matched_or_an_hour_later(
    plain: Settling, monkeypatch: pytest.MonkeyPatch
) -> None:
    agree_on(plain, {"basis_points": 0})
    [charge] = charges(plain, 1_000)
    plain.read(f"l1 charge {charge} 1000 50\nl2 charge elsewhere 900 0".encode())
    match_due_lines()
    assert noted() == [("", 0, 50)]
    assert not Case.objects.exists()
    monkeypatch.setattr(variance_cases, "WAIT_MOST", timedelta(0))
    assert (tell_variances(), tell_variances()) == (1, 0)
    [case] = Case.objects.all()
    assert case.discrepancy == "FEE_VARIANCE"
    LineVariance.objects.update(told_at=None)
    assert (tell_variances(), Case.objects.count()) == (1, 1)


def test_the_preview_and_the_command_name_each_variance(
    settling: Settling, capsys: pytest.CaptureFixture[str]
) -> None:
    agree_on(settling, {"basis_points": 0})
    settling.desk.pay(9_000)
    settling.shop.psp.spoil_report(settling.api_key, "wrong_fee")
    with io.BytesIO() as file:
        adapter = adapter_of(settling.shop.account)
        adapter.fetch_report(settling.close(), into=file, deadline_seconds=5)
        preview = preview_report(settling.shop.account, file)
    assert preview.needs_an_operator
    told = "fee 0.05 USD, agreed 0.00 USD"
    assert any(told in line for line in lines_of(preview))
    assert not SettlementLine.objects.exists()
    settling.take_in()
    call_command("settlement_reports", "--variances")
    shown = capsys.readouterr().out
    assert "FEE_VARIANCE fee 0.05 USD, agreed 0.00 USD" in shown
    assert "1 amounts are not the agreed ones" in shown


def test_where_nothing_is_agreed_nothing_is_a_variance(plain: Settling) -> None:
    [charge] = charges(plain, 1_000)
    plain.read(f"l1 charge {charge} 1000 50".encode())
    match_due_lines()
    assert noted() == []
    assert not Case.objects.exists()
