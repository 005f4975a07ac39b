"""`manage.py bank_statements`, as finance types it."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from payments.models import Case
from payments.services.commands.operators.cases import close_case
from payments.tests.support.factories import staff
from reconciliation.models import BankStatementFile
from reconciliation.tests.support.banking import IBAN, Banking, camt


@pytest.fixture(autouse=True)
def ada(database: None) -> None:
    staff("ada")


def run(**given: Any) -> tuple[int, str]:
    """The exit code, and what was printed."""
    out, code = StringIO(), 0
    try:
        call_command("bank_statements", stdout=out, **given)
    except SystemExit as end:
        code = int(end.code or 0)
    return code, out.getvalue()


def test_an_account_is_added_a_statement_imported_and_its_balance_proven(
    banking: Banking, tmp_path: Path
) -> None:
    code = banking.settling.shop.account.code
    _, told = run(add="de89 3704 0044 0532 0130 00", currency="USD", paid_by=[code])
    assert f"{IBAN} USD is paid by {code} since" in told
    banking.report("l1 payout po_1234567 -9000 0")
    file = tmp_path / "march.xml"
    file.write_bytes(camt(("90.00", "po_1234567"), closing="90.00"))
    exit_code, told = run(file=str(file), by="staff:ada", check=True)
    assert exit_code == 0
    assert "march.xml is stored: 1 new lines" in told
    assert "0.00 USD to 90.00 USD, 1 lines (1 matched new), march.xml" in told
    assert f"{IBAN} closes 2026-03-02 with 90.00 USD: 1200 bank 90.00 USD, proven" in told
    assert "march.xml is here already" in run(file=str(file), by="staff:ada")[1]


def test_what_is_not_explained_fails_the_check_until_its_case_is_closed(
    banking: Banking,
) -> None:
    banking.import_(camt(("-0.50", "Account fee"), closing="-0.50"))
    exit_code, told = run(check=True, lines=True)
    assert exit_code == 1
    assert "failing: -0.50 USD, BANK_UNIDENTIFIED it names no payout" in told
    assert "lines not booked yet -0.50 USD, proven" in told
    assert "1 bank lines wait" in told
    banking.give_up()
    assert "1 cases about the bank are open" in run(check=True)[1]
    close_case(Case.objects.get().pk, author=staff("ada"), resolution="A fee of the bank.")
    assert run(check=True, account=IBAN)[0] == 0
    assert "1 lines are requeued" in run(requeue=True, by="staff:ada")[1]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"account": "missing"}, "no bank account MISSING"),
        ({"most": 0}, "--most is 1 at least"),
        ({"add": IBAN, "currency": "USD"}, "no PSP account is named"),
        ({"add": IBAN, "currency": "USD", "since": "soon"}, "soon"),
        ({"file": __file__}, "say who does it"),
        ({"file": "/nowhere/at.all", "by": "staff:ada"}, "nothing was stored: .*No such file"),
        ({"file": __file__, "by": "staff:ada"}, "nothing was stored: line 1: it does not begin"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_reason(
    banking: Banking, given: dict[str, Any], why: str
) -> None:
    with pytest.raises(CommandError, match=why):
        run(**given)
    assert BankStatementFile.objects.count() == 0
