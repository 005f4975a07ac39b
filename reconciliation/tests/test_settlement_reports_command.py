"""`manage.py settlement_reports`, as finance and the operator on call type it."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from payments.models import Case
from payments.services.commands.operators.cases import close_case
from payments.tests.support.factories import staff
from payments.tests.support.shop import Shop, open_shop
from reconciliation.models import SettlementLine, SettlementReport
from reconciliation.services.matching.sweep import match_due_lines
from reconciliation.services.reports.reading import read_due_reports
from reconciliation.states import LineStatus
from reconciliation.tests.support.settling import (
    CHARGES,
    PlainReports,
    Settling,
    money_rows,
    speak_plainly,
)


def output_of(**given: Any) -> str:
    out = StringIO()
    call_command("settlement_reports", stdout=out, **given)
    return out.getvalue()


def test_fetch_matches_every_report_and_prints_the_result(settling: Settling) -> None:
    settling.disputed()
    name = settling.close()
    told = output_of(fetch=True, check=True)
    assert "1 new reports" in told
    assert "lines attempted: 3: 3 matched, 1 asked the PSP;" in told
    assert f"{settling.shop.account.code} {name} read, 3 lines (3 new: 3 matched)" in told
    assert "1 settlement reports" in told
    assert "everything is here, read and explained" in told
    assert "0 new reports" in output_of(fetch=True)
    assert settling.desk.dispute().status == "needs_response"


def test_a_preview_says_what_a_file_would_change_and_writes_nothing(
    plain: Settling, tmp_path: Path
) -> None:
    plain.read(CHARGES)
    intent_id = plain.desk.pay(9_000)
    [operation] = plain.shop.operations(intent_id)
    before = money_rows(), SettlementReport.objects.count(), SettlementLine.objects.count()
    file = tmp_path / "march.csv"
    file.write_bytes(
        b"l1 charge cap_1 1000 0\nl2 charge cap_2 2001 0\nl4 charge cap_4 500 20\n"
        b"- monthly_fee x 0 100\n- monthly_fee x 0 100\n"
        + f"l5 charge {operation.psp_id} 9100 0\nl4 charge cap_4 500 20\n".encode()
    )
    account = plain.shop.account.code
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("settlement_reports", stdout=out, preview=str(file), account=account)
    told = out.getvalue()
    assert "7 lines: 4 new, 3 known. Nothing was written." in told
    assert "  charge: 2 lines, gross 96.00 USD, fee 0.20 USD" in told
    assert "NO RULE KNOWS monthly_fee: 2 lines" in told
    assert "KNOWN WITH OTHER CONTENT, which would not count: 1\n  line 2: charge 20.01 USD" in told
    assert "ANOTHER AMOUNT THAN OURS, each a case: 1\n  line 6: charge 91.00 USD" in told
    file.write_bytes(b"l1 charge cap_1 1000 0\ncut\n")
    with pytest.raises(SystemExit):
        call_command("settlement_reports", stdout=out, preview=str(file), account=account)
    assert "NOT A WHOLE REPORT, no line of it would count: row 2 is cut" in out.getvalue()
    file.write_bytes(b"l1 charge cap_1 1000 0\n")
    assert "0 new, 1 known" in output_of(preview=str(file), account=account)
    after = money_rows(), SettlementReport.objects.count(), SettlementLine.objects.count()
    assert after == before
    assert Case.objects.count() == 0


@pytest.fixture
def plain(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Settling:
    speak_plainly(shop, monkeypatch)
    staff("ada")
    return Settling(shop)


def test_a_file_is_imported_once(plain: Settling, tmp_path: Path) -> None:
    file = tmp_path / "march.csv"
    file.write_bytes(CHARGES)
    given = {"file": str(file), "account": plain.shop.account.code, "by": "staff:ada"}
    told = output_of(**given)
    assert "march.csv is stored" in told
    assert "lines attempted: 3: 3 left for later;" in told
    assert "march.csv is here already" in output_of(**given)
    [report] = SettlementReport.objects.all()
    assert (report.name, report.imported_by) == ("march.csv", "staff:ada")
    assert "april is stored" in output_of(**{**given, "name": "april"})


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"account": ""}, "whose report it is"),
        ({"by": " "}, "say who does it"),
        ({"by": "staff:eve"}, "no active staff user"),
        ({"account": "missing"}, "no PSP account of the code missing"),
        ({"most": 0}, "--most is 1 at least"),
        ({"file": "/nowhere/at.all"}, "No such file"),
        ({"name": "x" * 129}, "128 characters"),
    ],
)
def test_an_import_that_is_refused_names_the_reason(
    plain: Settling, tmp_path: Path, change: dict[str, Any], why: str
) -> None:
    file = tmp_path / "march.csv"
    file.write_bytes(CHARGES)
    given = {"file": str(file), "account": plain.shop.account.code, "by": "staff:ada"}
    with pytest.raises(CommandError, match=why):
        output_of(**{**given, **change})
    assert SettlementReport.objects.count() == 0


def test_lines_that_wait_are_listed_with_the_reason_and_fail_the_check(plain: Settling) -> None:
    plain.read(b"l1 charge cap_stranger 100 0\nl2 surprise x_1 0 5")
    assert verdict(check=True) == (1, "2 lines wait")
    match_due_lines()
    assert verdict(check=True) == (1, "1 lines are dead, with an open case")
    told = output_of(lines=True)
    assert "by-hand.csv line 1" in told
    assert "failing: charge 1.00 USD cap_stranger, tried 1 times: MISSING_INTERNAL: it" in told
    assert "line 2" in told
    assert "dead: surprise -0.05 USD x_1" in told
    assert "2 lines failing or dead, 0 not attempted yet" in told
    other = open_shop(plain.shop.psp).account.code
    assert "0 lines failing or dead" in output_of(lines=True, account=other)
    assert verdict(check=True, account=other)[0] == 0
    assert "1 lines are requeued" in output_of(requeue=True, by="staff:ada")
    assert {line.status for line in plain.lines()} == {LineStatus.FAILING, LineStatus.DEAD}


def test_an_unreadable_file_fails_the_check_until_it_was_read_again(
    plain: Settling, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain.read(b"cut")
    assert verdict(check=True) == (1, "1 reports are unreadable, with an open case")
    assert "UNREADABLE, 0 lines (0 new: none): row 1 is cut" in output_of()
    monkeypatch.setattr(PlainReports, "read_report", lambda self, file: iter(()))
    assert "UNREADABLE" in output_of(read_again=True, name="another", by="staff:ada")
    assert "read, 0 lines" in output_of(
        read_again=True, name="by-hand.csv", check=True, by="staff:ada"
    )


def test_the_check_passes_once_the_case_of_a_line_is_closed(plain: Settling) -> None:
    plain.read(b"l1 surprise x_1 0 5")
    plain.read(b"cut", "another")
    match_due_lines()
    for case in Case.objects.all():
        assert verdict(check=True)[0] == 1
        close_case(case.id, author=staff("ada"), resolution="A fee that we were told of by mail.")
    assert verdict(check=True) == (0, "everything is here, read and explained")


def test_a_report_not_fetched_or_not_read_fails_the_check(settling: Settling) -> None:
    settling.disputed()
    name = settling.close()
    settling.shop.psp.script({"down": 1}, kind="report", path="/v1/settlement_reports/")
    assert verdict(fetch=True, check=True) == (1, "1 reports do not come")
    assert f"{name} of {settling.shop.account.code} has not come since" in output_of()
    settling.fetch()
    assert verdict(check=True) == (1, "1 reports are not read")


def test_the_check_waits_for_the_sweeps_if_it_may(settling: Settling) -> None:
    settling.disputed()
    settling.close()
    settling.fetch()
    read_due_reports()
    assert verdict(check=True)[0] == 1
    assert verdict(check=True, wait=20)[0] == 0


def verdict(**given: Any) -> tuple[int, str]:
    """The exit code, and the last line printed."""
    out = StringIO()
    code = 0
    try:
        call_command("settlement_reports", stdout=out, **given)
    except SystemExit as end:
        code = int(end.code or 0)
    return code, out.getvalue().splitlines()[-1]
