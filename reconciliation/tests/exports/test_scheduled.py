"""Each day and month that is over has its files, once, whatever happened before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, transaction

from ledger.tests.books import book, sale, usd
from reconciliation.models import ScheduledExport
from reconciliation.services.exports.declaration import Chosen
from reconciliation.services.exports.files import PART, faults_of, manifest_of, write_file
from reconciliation.services.exports.registry import EXPORTS
from reconciliation.services.exports.scheduled import NotOurs, exports_of, write_due_exports

pytestmark = pytest.mark.usefixtures("database")

MONDAY = datetime(2026, 3, 2, 0, 5, tzinfo=UTC)
SUNDAY = "2026-03-01"
TRIAL = f"daily/{SUNDAY}/trial_balance_{SUNDAY}.csv"


@pytest.fixture
def folder(tmp_path: Path, settings: Any) -> Path:
    settings.EXPORTS_FOLDER = str(tmp_path)
    settings.EXPORTS_DAILY = ("trial_balance", "unmatched")
    settings.EXPORTS_MONTHLY = ("merchant_balances", "journal")
    book(*sale(usd(100)))
    return tmp_path


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*.csv")}


def test_a_day_and_a_month_that_are_over_are_written_once(folder: Path) -> None:
    assert write_due_exports(now=MONDAY) == 4
    assert files_of(folder) == {
        TRIAL,
        f"daily/{SUNDAY}/unmatched_{SUNDAY}.csv",
        "monthly/2026-02/merchant_balances_2026-02-28.csv",
        "monthly/2026-02/journal_2026-02-01_2026-02-28.csv",
    }
    assert [faults_of(path) for path in folder.rglob("*.csv")] == [[]] * 4
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.*")}
    assert write_due_exports(now=MONDAY + timedelta(hours=20)) == 0
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.*")} == before
    row = ScheduledExport.objects.get(file=TRIAL)
    assert (row.next_attempt_at, row.last_error, row.row_count) == (None, "", 0)


def test_a_file_that_was_collected_is_not_written_again(folder: Path) -> None:
    write_due_exports(now=MONDAY)
    (folder / TRIAL).unlink()
    assert write_due_exports(now=MONDAY) == 0


def test_missed_days_are_written_afterwards(folder: Path) -> None:
    write_due_exports(now=MONDAY)
    assert write_due_exports(now=MONDAY + timedelta(3)) == 4
    days = {name.split("_")[-1][:10] for name in files_of(folder) if "trial" in name}
    assert days == {SUNDAY, "2026-03-02", "2026-03-03", "2026-03-04"}
    # What is about the present is not made up for.
    assert "daily/2026-03-03/unmatched_2026-03-03.csv" not in files_of(folder)
    assert "daily/2026-03-04/unmatched_2026-03-04.csv" in files_of(folder)


def test_a_run_that_was_killed_after_the_file_was_there_takes_it_for_its_own(folder: Path) -> None:
    path = folder / TRIAL
    path.parent.mkdir(parents=True)
    sunday = Chosen(first=datetime.fromisoformat(SUNDAY).date(), last=MONDAY.date())
    write_file(EXPORTS["trial_balance"], sunday, path)
    before = path.read_bytes()
    assert write_due_exports(now=MONDAY) == 4
    assert path.read_bytes() == before
    assert ScheduledExport.objects.get(file=TRIAL).file_sha256


def test_a_run_that_was_killed_before_the_file_was_there_is_repeated(folder: Path) -> None:
    path = folder / TRIAL
    path.parent.mkdir(parents=True)
    manifest_of(path).write_text("{}")
    path.with_name(f"{path.name}.x{PART}").write_text("half")
    assert write_due_exports(now=MONDAY) == 4
    assert faults_of(path) == []


@pytest.mark.parametrize("manifest", [None, '{"export": "journal"}'])
def test_a_file_of_something_else_is_left_alone_and_delays_no_other(
    folder: Path, manifest: str | None
) -> None:
    path = folder / TRIAL
    path.parent.mkdir(parents=True)
    path.write_text("by hand")
    if manifest:
        manifest_of(path).write_text(manifest)
    with pytest.raises(NotOurs):
        write_due_exports(now=MONDAY)
    assert path.read_text() == "by hand"
    assert len(files_of(folder)) == 4
    row = ScheduledExport.objects.get(written_at__isnull=True)
    assert "move it away" in row.last_error
    assert write_due_exports(now=MONDAY) == 0, "it is tried again later"
    path.unlink()
    said = StringIO()
    call_command("export", "scheduled", stdout=said)
    assert said.getvalue().startswith(f"{TRIAL}: 0 rows")


def test_a_day_that_is_not_over_is_not_written(folder: Path) -> None:
    with pytest.raises(RuntimeError, match="still under way"):
        write_due_exports(now=datetime.now(UTC) + timedelta(1))
    assert "trial_balance" not in " ".join(files_of(folder))


def test_without_a_folder_nothing_is_due(settings: Any) -> None:
    settings.EXPORTS_FOLDER = ""
    assert write_due_exports(now=MONDAY) == 0
    assert not ScheduledExport.objects.exists()


def test_settings_name_exports_that_exist(settings: Any) -> None:
    assert set(exports_of((*settings.EXPORTS_DAILY, *settings.EXPORTS_MONTHLY))) == set(EXPORTS)
    assert exports_of(("none",)) == []
    with pytest.raises(ValueError, match="no export is called 'ledger'"):
        exports_of(("ledger",))


def test_postgresql_has_each_period_once_and_no_file_without_its_hash(folder: Path) -> None:
    write_due_exports(now=MONDAY)
    row = ScheduledExport.objects.get(file=TRIAL)
    for change in ({"file_sha256": ""}, {"next_attempt_at": MONDAY}, {"written_at": None}):
        with pytest.raises(IntegrityError), transaction.atomic():
            ScheduledExport.objects.filter(pk=row.pk).update(**change)
    row.pk = None
    with pytest.raises(IntegrityError), transaction.atomic():
        row.save(force_insert=True)
