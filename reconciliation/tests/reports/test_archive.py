"""Settlement reports are stored unchanged and once, fetched or imported by hand."""

from __future__ import annotations

import io
import tempfile
import tracemalloc
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from payments.models import Case
from payments.tests.support.factories import PspAccountFactory
from psp_adapters.contract import report_files
from psp_adapters.contract.report_files import ReportFile
from reconciliation.models import ReportChunk, SettlementReport
from reconciliation.services.reports import archive
from reconciliation.services.reports import stored_file as storing
from reconciliation.services.reports.archive import NoSuchAccount, account_of, store_report
from reconciliation.services.reports.reading import read_due_reports
from reconciliation.services.reports.stored_file import stored_file
from reconciliation.tests.support.settling import CHARGES, Settling


def test_the_same_bytes_of_a_name_are_stored_once(
    settling: Settling, run_together: Callable[..., list[Any]]
) -> None:
    def store() -> bool:
        return store_report(
            account=settling.shop.account,
            name="r.csv",
            file=io.BytesIO(CHARGES),
            imported_by="staff:bob",
        ).is_new

    assert sorted(run_together(*[store] * 4)) == [False, False, False, True]
    [report] = SettlementReport.objects.all()
    assert stored_file(report.pk).read() == CHARGES
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
        monkeypatch.setattr(report_files, "REPORT_BYTES_MAX", 64)
    with pytest.raises(ValueError, match="report"):
        settling.store(body, name)
    assert SettlementReport.objects.count() == 0
    assert ReportChunk.objects.count() == 0


def test_an_account_without_credentials_has_no_reports(settling: Settling) -> None:
    assert account_of(settling.shop.account.code) == settling.shop.account
    without = PspAccountFactory.create(status="paused", sealed_credentials="")
    for each in (without.code, "no-account"):
        with pytest.raises(NoSuchAccount):
            account_of(each)


def test_a_file_of_several_parts_is_read_as_one_file(
    settling: Settling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storing, "CHUNK_BYTES", 7)
    report = settling.store(CHARGES)
    assert report.body_bytes == len(CHARGES)
    assert ReportChunk.objects.filter(report=report).count() == -(-len(CHARGES) // 7)
    file = stored_file(report.pk)
    assert b"".join(file) == CHARGES
    file.seek(10)
    assert file.read(9) == CHARGES[10:19]


def test_storing_that_was_interrupted_goes_on_when_the_file_comes_again(
    settling: Settling, monkeypatch: pytest.MonkeyPatch, owner_cursor: Any
) -> None:
    monkeypatch.setattr(storing, "CHUNK_BYTES", 7)
    whole = archive.store_chunks

    def dying(report_id: Any, file: Any) -> None:
        whole(report_id, io.BytesIO(CHARGES[:21]))
        raise MemoryError

    monkeypatch.setattr(archive, "store_chunks", dying)
    with pytest.raises(MemoryError):
        settling.store(CHARGES)
    [report] = SettlementReport.objects.all()
    assert (report.status, ReportChunk.objects.count()) == ("receiving", 3)
    assert read_due_reports() == 0
    with pytest.raises(psycopg.Error, match="file_is_not_whole"):
        owner_cursor.execute(
            "UPDATE reconciliation_settlement_report SET status = 'stored', next_attempt_at = now()"
        )
    monkeypatch.setattr(archive, "store_chunks", whole)
    assert settling.store(CHARGES) == report
    assert stored_file(report.pk).read() == CHARGES
    with pytest.raises(psycopg.Error, match="late_chunk"):
        owner_cursor.execute(
            "INSERT INTO reconciliation_report_chunk (report_id, number, body) "
            f"VALUES ('{report.pk}', 99, 'x')"
        )
    assert Case.objects.count() == 0


def test_memory_does_not_grow_with_the_file(settling: Settling) -> None:
    """Looked through for card numbers, stored in parts, and read again: 12 MiB, within 5."""
    row = b"l%06d charge cap_%06d 1000 0 " + b"x" * 160 + b"\n"
    with tempfile.TemporaryFile() as file:
        for number in range(60_000):
            file.write(row % (number, number))
        size = file.tell()
        tracemalloc.start()
        try:
            report = archive.store_report(
                account=settling.shop.account, name="large.csv", file=file, imported_by="staff:bob"
            ).report
            lines = sum(1 for _ in ReportFile(stored_file(report.pk)).text_lines())
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert (report.body_bytes, lines) == (size, 60_000)
    assert size > 11 * 2**20
    assert peak_bytes < 5 * 2**20, peak_bytes
