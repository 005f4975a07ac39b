"""Settlement reports are taken in as they came, once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings

from payments.models import Case, PspAccount
from payments.services.breakers import CallKind, Refusal, guarded_call
from payments.tests.shop import open_shop
from reconciliation.models import SettlementLine, SettlementReport
from reconciliation.services import reports
from reconciliation.services.reports import NoSuchAccount, account_of, fetch_reports, store_report
from reconciliation.states import ReportStatus
from reconciliation.tests.settling import CHARGES, Settling, money_rows


def test_a_published_report_is_stored_as_it_came_and_once(settling: Settling) -> None:
    settling.disputed()
    name = settling.close()
    assert fetch_reports() == 1
    assert fetch_reports() == 0
    [report] = SettlementReport.objects.all()
    assert (report.name, report.status) == (name, ReportStatus.STORED)
    assert report.psp_account == settling.shop.account
    assert report.brought_by == "job:settlement_reports"
    body = bytes(report.body)
    assert body.startswith(b"line,type,")
    assert hashlib.sha256(body).hexdigest() == report.body_sha256
    assert report.lines_announced == 3
    assert report.closed_at is not None
    assert SettlementLine.objects.count() == 0


def test_two_runs_at_once_store_a_report_once(
    settling: Settling, run_together: Callable[..., list[Any]]
) -> None:
    settling.disputed()
    settling.close()
    counts = run_together(*[fetch_reports] * 4)
    assert sum(counts) == 1, counts
    assert SettlementReport.objects.count() == 1


def test_every_account_gets_its_own_reports(settling: Settling) -> None:
    settling.disputed()
    other = Settling(open_shop(settling.shop.psp))
    other.desk.pay(5_000)
    name = settling.close()
    assert settling.take_in()[0].name == name
    [others] = other.take_in()
    assert others.psp_account == other.shop.account
    assert [line.kind for line in other.lines()] == ["charge"]
    assert {line.kind for line in settling.lines()} == {"charge", "dispute", "dispute_fee"}


@pytest.mark.parametrize("fault", ["down", "error_after", "drop_after", "truncate", "rate_limit"])
def test_a_report_that_does_not_come_whole_is_fetched_at_the_next_run(
    settling: Settling, fault: str
) -> None:
    settling.disputed()
    settling.close()
    settling.shop.psp.script({fault: 1}, kind="report", path="/v1/settlement_reports/")
    assert fetch_reports() == 0
    assert SettlementReport.objects.count() == 0
    assert fetch_reports() == 1


def test_an_account_that_cannot_be_asked_holds_up_no_other(settling: Settling) -> None:
    settling.disputed()
    settling.close()
    dead = open_shop(settling.shop.psp)
    # Its code sorts before, so that it is asked first.
    code = f"a-{dead.account.code}"
    PspAccount.objects.filter(pk=dead.account.pk).update(code=code)
    settings.PSP_CREDENTIALS[code] = {
        "base_url": "http://127.0.0.1:9",
        "api_key": "sandbox_dead",
    }
    assert fetch_reports() == 1


def test_a_late_report_is_found_although_a_newer_one_is_here(settling: Settling) -> None:
    settling.disputed()
    first = settling.close()
    settling.disputed()
    second = settling.close()
    settling.shop.psp.script(
        {"error_before": 1}, times=None, kind="report", path=f"/v1/settlement_reports/{first}"
    )
    assert fetch_reports() == 1
    assert SettlementReport.objects.get().name == second
    settling.shop.psp.heal()
    assert fetch_reports() == 1
    assert [report.name for report in settling.take_in()] == [second, first]


def test_the_same_name_with_other_bytes_is_kept_beside_and_opens_a_case(
    settling: Settling,
) -> None:
    first = settling.store(CHARGES)
    assert (
        store_report(
            account=settling.shop.account, name=first.name, body=CHARGES, brought_by="staff:bob"
        )
        is None
    )
    assert Case.objects.count() == 0
    settling.store(CHARGES + b"l4 charge cap_3 1 0\n")
    assert SettlementReport.objects.count() == 2
    [case] = Case.objects.all()
    assert (case.kind, case.psp_account) == ("contradiction", settling.shop.account)
    assert "came again with other bytes" in case.summary


@pytest.mark.parametrize(
    ("name", "body"),
    [("empty", b""), ("", CHARGES), ("x" * 129, CHARGES), ("large", b"x" * 65)],
)
def test_no_file_that_is_none_is_stored(
    settling: Settling, monkeypatch: pytest.MonkeyPatch, name: str, body: bytes
) -> None:
    if name == "large":
        monkeypatch.setattr(reports, "BODY_BYTES_MAX", 64)
    with pytest.raises(ValueError, match="report"):
        settling.store(body, name)
    assert SettlementReport.objects.count() == 0


def test_an_account_without_credentials_has_no_reports(settling: Settling) -> None:
    assert account_of(settling.shop.account.code) == settling.shop.account
    del settings.PSP_CREDENTIALS[settling.shop.account.code]
    for code in (settling.shop.account.code, "nobody"):
        with pytest.raises(NoSuchAccount):
            account_of(code)
    before = money_rows()
    assert fetch_reports() == 0
    assert money_rows() == before


def test_a_provider_that_is_down_is_asked_behind_the_circuit_of_questions(
    settling: Settling,
) -> None:
    settling.disputed()
    settling.close()
    settling.shop.psp.set_behavior(down=1)
    for _ in range(30):
        assert fetch_reports() == 0
    with pytest.raises(Refusal), guarded_call(settling.shop.account.code, CallKind.RECOVERY):
        raise AssertionError("the circuit is open")
