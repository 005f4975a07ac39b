"""Settlement reports are stored unchanged and once, fetched or imported by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from payments.models import Case
from payments.tests.support.factories import PspAccountFactory
from reconciliation.models import ReportBody, SettlementReport
from reconciliation.services.reports import archive
from reconciliation.services.reports.archive import NoSuchAccount, account_of, store_report
from reconciliation.tests.support.settling import CHARGES, Settling


def test_the_same_bytes_of_a_name_are_stored_once(
    settling: Settling, run_together: Callable[..., list[Any]]
) -> None:
    def store() -> bool:
        return store_report(
            account=settling.shop.account, name="r.csv", body=CHARGES, imported_by="staff:bob"
        ).is_new

    assert sorted(run_together(*[store] * 4)) == [False, False, False, True]
    [report] = SettlementReport.objects.all()
    assert bytes(ReportBody.objects.get(report=report).body) == CHARGES
    assert (report.imported_by, report.status) == ("staff:bob", "stored")
    assert Case.objects.count() == 0


def test_the_same_name_with_other_bytes_is_a_second_version_and_a_case(
    settling: Settling,
) -> None:
    settling.store(CHARGES)
    settling.store(CHARGES + b"l4 charge cap_3 1 0\n")
    assert SettlementReport.objects.count() == 2
    [case] = Case.objects.all()
    assert (case.kind, case.psp_account) == ("contradiction", settling.shop.account)
    assert "came again with other bytes" in case.summary


@pytest.mark.parametrize(
    ("name", "body"),
    [("empty", b""), ("", CHARGES), ("x" * 129, CHARGES), ("large", b"x" * 65)],
)
def test_a_file_with_an_invalid_name_or_size_is_not_stored(
    settling: Settling, monkeypatch: pytest.MonkeyPatch, name: str, body: bytes
) -> None:
    if name == "large":
        monkeypatch.setattr(archive, "BODY_BYTES_MAX", 64)
    with pytest.raises(ValueError, match="report"):
        settling.store(body, name)
    assert SettlementReport.objects.count() == 0
    assert ReportBody.objects.count() == 0


def test_an_account_without_credentials_has_no_reports(settling: Settling) -> None:
    assert account_of(settling.shop.account.code) == settling.shop.account
    without = PspAccountFactory.create(status="paused", sealed_credentials="")
    for each in (without.code, "no-account"):
        with pytest.raises(NoSuchAccount):
            account_of(each)
