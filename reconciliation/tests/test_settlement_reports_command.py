"""`manage.py settlement_reports`, as finance and whoever is on call type it."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from payments.tests.shop import Shop
from reconciliation.models import SettlementReport
from reconciliation.states import LineStatus
from reconciliation.tests.settling import CHARGES, PlainReports, Settling, speak_plainly


def told_by(**given: Any) -> str:
    out = StringIO()
    call_command("settlement_reports", stdout=out, **given)
    return out.getvalue()


def test_fetching_takes_in_everything_and_says_so(settling: Settling) -> None:
    settling.disputed()
    name = settling.close()
    told = told_by(fetch=True, check=True)
    assert "1 new reports" in told
    assert "3 lines looked at" in told
    assert f"{settling.shop.account.code} {name} read, 3 lines (3 new: 1 known, 2 matched)" in told
    assert "1 settlement reports" in told
    assert "every line that a rule looks at is explained" in told
    assert "0 new reports" in told_by(fetch=True)
    assert settling.desk.dispute().status == "needs_response"


@pytest.fixture
def plain(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Settling:
    speak_plainly(shop, monkeypatch)
    return Settling(shop)


def test_a_file_is_imported_once(plain: Settling, tmp_path: Path) -> None:
    file = tmp_path / "march.csv"
    file.write_bytes(CHARGES)
    given = {"file": str(file), "account": plain.shop.account.code, "by": "staff:ada"}
    told = told_by(**given)
    assert "march.csv is stored" in told
    assert "3 lines looked at" in told
    assert "it is here already" in told_by(**given)
    [report] = SettlementReport.objects.all()
    assert (report.name, report.brought_by) == ("march.csv", "staff:ada")
    assert "april is stored" in told_by(**{**given, "name": "april"})


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"account": ""}, "whose report it is"),
        ({"by": " "}, "who brings it"),
        ({"account": "nobody"}, "no PSP account with credentials: nobody"),
        ({"file": "/nowhere/at.all"}, "No such file"),
        ({"name": "x" * 129}, "128 characters"),
    ],
)
def test_an_import_that_cannot_be_says_what_is_wrong(
    plain: Settling, tmp_path: Path, change: dict[str, str], why: str
) -> None:
    file = tmp_path / "march.csv"
    file.write_bytes(CHARGES)
    given = {"file": str(file), "account": plain.shop.account.code, "by": "staff:ada"}
    with pytest.raises(CommandError, match=why):
        told_by(**{**given, **change})
    assert SettlementReport.objects.count() == 0


def test_lines_that_wait_are_listed_with_the_reason_and_fail_the_check(plain: Settling) -> None:
    plain.read(b"l1 charge cap_stranger 100 0\nl2 surprise x_1 0 5")
    with pytest.raises(SystemExit) as ended:
        told_by(look_again=True, check=True)
    assert ended.value.code == 1
    told = told_by(lines=True)
    assert "by-hand.csv line 1" in told
    assert "failing: charge 1.00 USD cap_stranger, tried 1 times: it concerns no payment" in told
    assert "line 2" in told
    assert "dead: surprise -0.05 USD x_1" in told
    assert "2 lines wait or are dead" in told
    assert "0 lines wait or are dead" in told_by(lines=True, account="another")
    assert "1 lines will be looked at again" in told_by(look_again=True)
    assert {line.status for line in plain.lines()} == {LineStatus.FAILING, LineStatus.DEAD}


def test_an_unreadable_file_fails_the_check_until_it_was_read_again(
    plain: Settling, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain.read(b"cut")
    with pytest.raises(SystemExit):
        told_by(check=True)
    assert "UNREADABLE, 0 lines (0 new: none): row 1 is cut" in told_by()
    monkeypatch.setattr(PlainReports, "read_report", lambda self, body: iter(()))
    assert "read, 0 lines" in told_by(read_again=True, check=True)
