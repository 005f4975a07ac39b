"""Every published report is fetched once, even if others cannot be fetched."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.utils import timezone

from payments.models import Case
from payments.services.psp_gateway.circuit_breaker import CallKind, CallRefused, guarded_call
from payments.tests.support.factories import PspAccountFactory, lose_credentials, set_credentials
from payments.tests.support.shop import open_shop
from psp_adapters.sandbox.adapter import SandboxAdapter
from reconciliation.models import ReportFetch, SettlementLine, SettlementReport
from reconciliation.services.reports import fetching
from reconciliation.services.reports.fetching import fetch_due_reports, make_due
from reconciliation.services.reports.reading import read_due_reports
from reconciliation.services.reports.stored_file import stored_file
from reconciliation.states import ReportStatus
from reconciliation.tests.support.settling import Settling, money_rows, speak_plainly


def fetch_of(settling: Settling, name: str) -> ReportFetch:
    return ReportFetch.objects.get(psp_account=settling.shop.account, name=name)


def test_a_published_report_is_stored_as_it_came_and_once(settling: Settling) -> None:
    settling.disputed()
    name = settling.close()
    assert fetch_due_reports() == 1
    assert settling.fetch() == 0
    [report] = SettlementReport.objects.all()
    assert (report.name, report.status) == (name, ReportStatus.STORED)
    assert report.psp_account == settling.shop.account
    assert report.imported_by == "job:settlement_reports"
    body = stored_file(report.pk).read()
    assert body.startswith(b"line,type,")
    assert hashlib.sha256(body).hexdigest() == report.body_sha256
    assert report.lines_announced == 3
    assert report.closed_at is not None
    assert SettlementLine.objects.count() == 0
    fetched = fetch_of(settling, name)
    assert (fetched.report, fetched.next_attempt_at, fetched.attempts) == (report, None, 0)


def test_the_list_of_reports_is_fetched_again_after_a_while(settling: Settling) -> None:
    fetch_due_reports()
    again = fetch_of(settling, "").next_attempt_at
    assert again is not None
    assert 240 < (again - timezone.now()).total_seconds() <= 300
    settling.disputed()
    settling.close()
    assert fetch_due_reports() == 0
    assert settling.fetch() == 1


def test_concurrent_runs_store_a_report_once(
    settling: Settling, run_together: Callable[..., list[Any]]
) -> None:
    settling.disputed()
    settling.close()
    counts = run_together(*[fetch_due_reports] * 4)
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
def test_a_report_that_arrives_incomplete_is_fetched_again_later(
    settling: Settling, fault: str
) -> None:
    settling.disputed()
    name = settling.close()
    settling.shop.psp.script({fault: 1}, kind="report", path="/v1/settlement_reports/")
    assert fetch_due_reports() == 0
    assert SettlementReport.objects.count() == 0
    waiting = fetch_of(settling, name)
    assert waiting.failing_since is not None
    assert waiting.next_attempt_at is not None
    assert waiting.next_attempt_at > waiting.failing_since
    assert fetch_due_reports() == 0, "not at once"
    assert settling.fetch() == 1
    assert fetch_of(settling, name).failing_since is None


def test_an_account_whose_list_cannot_be_fetched_delays_no_other(
    settling: Settling, monkeypatch: pytest.MonkeyPatch
) -> None:
    settling.disputed()
    settling.close()
    without_credentials = open_shop(settling.shop.psp).account
    lose_credentials(without_credentials)
    for broken in ("a-down", "b-broken"):
        account = PspAccountFactory.create(code=broken)
        set_credentials(account, base_url="http://127.0.0.1:9", api_key=f"sandbox_{broken}")
    genuine = SandboxAdapter.list_reports

    def broken_list(self: SandboxAdapter, **words: Any) -> Any:
        if "broken" in str(self._http._headers):
            raise TypeError("a defect of the adapter")
        return genuine(self, **words)

    monkeypatch.setattr(SandboxAdapter, "list_reports", broken_list)
    assert fetch_due_reports() == 1
    errors = dict(
        ReportFetch.objects.filter(name="").values_list("psp_account__code", "last_error")
    )
    assert "TypeError" in errors["b-broken"]
    assert errors["a-down"]
    assert errors[settling.shop.account.code] == ""


def test_a_report_that_cannot_be_fetched_delays_no_later_one_and_stays_due(
    settling: Settling, owner_cursor: psycopg.Cursor[Any]
) -> None:
    settling.disputed()
    first = settling.close()
    settling.disputed()
    second = settling.close()
    settling.shop.psp.script(
        {"error_before": 1}, times=None, kind="report", path=f"/v1/settlement_reports/{first}"
    )
    assert fetch_due_reports() == 1
    assert SettlementReport.objects.get().name == second
    assert Case.objects.count() == 0
    # Weeks later the PSP's list no longer contains it.
    owner_cursor.execute(
        "UPDATE reconciliation_report_fetch SET closed_at = closed_at - interval '30 days', "
        "failing_since = now() - interval '30 days', attempts = 99 WHERE name = %s",
        [first],
    )
    settling.fetch()
    [case] = Case.objects.all()
    assert first in case.summary
    assert "has not come since" in case.summary
    assert case.discrepancy == "FILE_GAP"
    settling.shop.psp.heal()
    assert settling.fetch() == 1
    assert [report.name for report in settling.take_in()] == [second, first]


def test_a_report_dated_in_the_future_does_not_hide_others(settling: Settling) -> None:
    fetch_due_reports()
    ReportFetch.objects.create(
        psp_account=settling.shop.account,
        name="from-the-future",
        closed_at=timezone.now() + timedelta(days=27_000),
        added_at=timezone.now(),
    )
    settling.disputed()
    settling.close()
    assert settling.fetch() == 1


def test_a_file_imported_by_hand_does_not_hide_the_psps_own(settling: Settling) -> None:
    settling.disputed()
    name = settling.close()
    assert settling.read(b"cut", name).status == ReportStatus.UNREADABLE
    settling.take_in()
    assert settling.desk.dispute().status == "needs_response"


def test_a_report_fetched_with_wrong_bytes_is_fetched_again(settling: Settling) -> None:
    settling.disputed()
    name = settling.close()
    settling.shop.psp.script({"contradict": 1}, kind="report", path="/v1/settlement_reports/")
    [report] = settling.take_in()
    assert report.status == ReportStatus.UNREADABLE
    waiting = fetch_of(settling, name)
    assert waiting.next_attempt_at is not None
    assert waiting.next_attempt_at > timezone.now() + timedelta(minutes=50)
    assert [each.status for each in settling.take_in()] == [
        ReportStatus.UNREADABLE,
        ReportStatus.READ,
    ]
    assert settling.desk.dispute().status == "needs_response"


def test_an_unreadable_report_read_before_its_fetch_was_recorded_is_fetched_again(
    settling: Settling, monkeypatch: pytest.MonkeyPatch
) -> None:
    settling.disputed()
    name = settling.close()
    settling.shop.psp.script({"contradict": 1}, kind="report", path="/v1/settlement_reports/")
    store = fetching.store_report

    def stored_and_read(**words: Any) -> Any:
        stored = store(**words)
        assert read_due_reports() == 1
        return stored

    monkeypatch.setattr(fetching, "store_report", stored_and_read)
    assert fetch_due_reports() == 1
    assert SettlementReport.objects.get().status == ReportStatus.UNREADABLE
    assert fetch_of(settling, name).next_attempt_at is not None


def test_a_report_that_stays_unreadable_is_fetched_again_for_some_days_only(
    settling: Settling, owner_cursor: psycopg.Cursor[Any]
) -> None:
    settling.disputed()
    name = settling.close()
    settling.shop.psp.script(
        {"contradict": 1}, times=None, kind="report", path="/v1/settlement_reports/"
    )
    settling.take_in()
    settling.take_in()
    assert SettlementReport.objects.count() == 1
    assert fetch_of(settling, name).next_attempt_at is not None
    owner_cursor.execute(
        "ALTER TABLE reconciliation_report_fetch DISABLE TRIGGER permanent_columns;"
        "UPDATE reconciliation_report_fetch SET added_at = now() - interval '4 days';"
        "ALTER TABLE reconciliation_report_fetch ENABLE TRIGGER permanent_columns"
    )
    settling.take_in()
    assert fetch_of(settling, name).next_attempt_at is None


def test_no_reports_are_fetched_from_a_psp_without_reports(
    settling: Settling, monkeypatch: pytest.MonkeyPatch
) -> None:
    speak_plainly(settling.shop, monkeypatch)
    before = money_rows()
    assert make_due() == 0
    assert fetch_due_reports() == 0
    assert ReportFetch.objects.count() == 0
    assert money_rows() == before


def test_fetching_goes_through_the_circuit_of_recovery(
    settling: Settling,
) -> None:
    settling.disputed()
    settling.close()
    settling.shop.psp.set_behavior(down=1)
    for _ in range(30):
        assert settling.fetch() == 0
    with pytest.raises(CallRefused), guarded_call(settling.shop.account.code, CallKind.RECOVERY):
        raise AssertionError("the circuit is open")
