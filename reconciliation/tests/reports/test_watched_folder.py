"""Reports that another program puts into an account's folder are taken in, each version once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import psycopg
import pytest

from payments.models import Case
from reconciliation.models import SettlementReport, WatchedFile
from reconciliation.services.reports import watched_folder
from reconciliation.services.reports.stored_file import stored_file
from reconciliation.services.reports.watched_folder import import_watched_files
from reconciliation.tests.support.settling import CHARGES, Settling, speak_plainly


@pytest.fixture
def folder(settling: Settling, settings: Any, tmp_path: Path, monkeypatch: Any) -> Path:
    """The folder of the shop's PSP account."""
    speak_plainly(settling.shop, monkeypatch)
    settings.REPORTS_FOLDER = str(tmp_path)
    account = tmp_path / settling.shop.account.code
    account.mkdir()
    return account


def test_a_file_is_taken_in_once_it_is_renamed_and_stays(folder: Path, owner_cursor: Any) -> None:
    (folder / "march.csv.part").write_bytes(CHARGES[:20])
    (folder / ".march.csv").write_bytes(CHARGES[:20])
    (folder / "subfolder").mkdir()
    assert import_watched_files() == 0
    (folder / "march.csv.part").write_bytes(CHARGES)
    (folder / "march.csv.part").rename(folder / "march.csv")
    assert import_watched_files() == 1
    [report] = SettlementReport.objects.all()
    assert (report.name, report.imported_by) == ("march.csv", "job:watched_folder")
    assert stored_file(report.pk).read() == CHARGES
    assert (folder / "march.csv").read_bytes() == CHARGES
    assert WatchedFile.objects.get().report == report
    with pytest.raises(psycopg.Error, match="permanent_column"):
        owner_cursor.execute("UPDATE reconciliation_watched_file SET name = 'x'")
    (folder / "march.csv").write_bytes(CHARGES + b"l4 charge cap_3 1 0\n")
    assert import_watched_files() == 1, "another version"


def test_a_known_file_is_not_opened_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "march.csv").write_bytes(CHARGES)
    assert import_watched_files() == 1
    monkeypatch.setattr(watched_folder, "_copy", lambda *_, **__: pytest.fail("it was opened"))
    assert import_watched_files() == 0


def test_a_file_that_can_never_be_taken_in_is_one_case_and_delays_no_other(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watched_folder, "SWEPT_BYTES_MAX", len(CHARGES))
    (folder / "a.csv").write_bytes(CHARGES + b" ")
    (folder / "b.csv").write_bytes(b"")
    (folder / "c.csv").write_bytes(CHARGES)
    (folder.parent / "no-account").mkdir()
    assert import_watched_files() == 1
    assert import_watched_files() == 0
    assert sorted(case.summary.split(" is refused")[0] for case in Case.objects.all()) == [
        f"The file {name} of the folder of {folder.name}" for name in ("a.csv", "b.csv")
    ]
    assert [each.report is None for each in WatchedFile.objects.order_by("name")] == [
        *(True, True, False),
    ]


def test_a_file_that_fails_for_now_is_tried_again_later(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "march.csv").write_bytes(CHARGES)
    genuine = watched_folder.store_report

    def broken(**_words: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(watched_folder, "store_report", broken)
    assert import_watched_files() == 0
    monkeypatch.setattr(watched_folder, "store_report", genuine)
    assert import_watched_files() == 0, "not at once"
    WatchedFile.objects.update(next_attempt_at="2000-01-01T00:00:00Z")
    assert import_watched_files() == 1
    row = WatchedFile.objects.get()
    assert (row.next_attempt_at, row.failing_since, row.last_error) == (None, None, "")
    assert Case.objects.count() == 0


def test_a_file_that_is_still_written_waits(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = folder / "march.csv"
    file.write_bytes(CHARGES)
    genuine = watched_folder._copy

    def growing(path: Path, copy: Any, *, size_bytes: int) -> None:
        genuine(path, copy, size_bytes=size_bytes)
        os.utime(path, ns=(1, 1))

    monkeypatch.setattr(watched_folder, "_copy", growing)
    assert import_watched_files() == 0
    assert not SettlementReport.objects.exists()
    assert not WatchedFile.objects.exists()
