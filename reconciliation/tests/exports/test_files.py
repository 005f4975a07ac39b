"""A file is whole or not there, is of one moment, and can be checked by its manifest."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from ledger.models import Seal
from ledger.periods import close_days
from ledger.seals import seal_rows
from ledger.tests.books import book, sale, settle, usd
from payments.tests.support.factories import PspAccountFactory
from reconciliation.services.exports.declaration import Chosen, Export, Row
from reconciliation.services.exports.files import faults_of, manifest_of, write_file
from reconciliation.services.exports.registry import EXPORTS
from reconciliation.tests.support.business_day import today

pytestmark = pytest.mark.usefixtures("database")

JOURNAL = EXPORTS["journal"]


def write(path: Path, export: Export = JOURNAL) -> Path:
    write_file(export, Chosen(first=today(), last=today()), path)
    return path


def test_a_file_that_is_added_up_again_is_what_its_manifest_says(tmp_path: Path) -> None:
    book(*sale(usd(1234), fee=usd(30)))
    settle()
    seal_rows()
    path = write(tmp_path / "journal.csv")
    said = json.loads(manifest_of(path).read_text())
    assert (said["export"], said["file"], said["rows"]) == ("journal", "journal.csv", 8)
    assert said["totals"] == {"USD": {"debit": "37.32", "credit": "37.32"}}
    assert said["ledger_head"]["transaction"].startswith("txn_")
    seal = Seal.objects.latest("number")
    assert (said["ledger_head"]["block"], said["ledger_head"]["block_sha256"]) == (
        seal.number,
        bytes(seal.sha256).hex(),
    )
    assert not said["period_is_over"]
    assert sorted(each.name for each in tmp_path.iterdir()) == [path.name, manifest_of(path).name]
    assert faults_of(path) == []


@pytest.mark.parametrize(
    ("change", "faults"),
    [
        (lambda data: data.replace(b"12.34", b"12.35", 1), {"sha256", "totals"}),
        (
            lambda data: data[: data.rstrip().rindex(b"\r\n") + 2],
            {"bytes", "sha256", "rows", "totals"},
        ),
        (lambda data: data.replace(b"captured", b"Captured", 1), {"sha256"}),
    ],
)
def test_a_change_of_a_file_is_found(
    tmp_path: Path, change: Callable[[bytes], bytes], faults: set[str]
) -> None:
    book(*sale(usd(1234)))
    path = write(tmp_path / "journal.csv")
    path.write_bytes(change(path.read_bytes()))
    assert {fault.split(" ")[0] for fault in faults_of(path)} == faults
    with pytest.raises(SystemExit):
        call_command("export", "check", str(path))


def test_a_file_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    path = write(tmp_path / "journal.csv")
    before = path.read_bytes(), manifest_of(path).read_bytes()
    book(*sale(usd(1)))
    with pytest.raises(FileExistsError):
        write(path)
    assert (path.read_bytes(), manifest_of(path).read_bytes()) == before


def test_of_an_export_that_fails_nothing_is_left(tmp_path: Path) -> None:
    def rows(chosen: Chosen) -> Iterator[Row]:
        yield from JOURNAL.rows(chosen)
        raise OSError("no space left on device")

    book(*sale(usd(1)))
    with pytest.raises(OSError, match="no space left"):
        write(tmp_path / "journal.csv", replace(JOURNAL, rows=rows))
    assert list(tmp_path.iterdir()) == []


def test_what_is_booked_meanwhile_is_not_in_the_file(
    tmp_path: Path, run_together: Callable[..., list[Any]]
) -> None:
    def rows(chosen: Chosen) -> Iterator[Row]:
        found = JOURNAL.rows(chosen)
        yield next(found)
        run_together(lambda: book(*sale(usd(7))))
        yield from found

    book(*sale(usd(5)))
    path = write(tmp_path / "journal.csv", replace(JOURNAL, rows=rows))
    assert json.loads(manifest_of(path).read_text())["rows"] == 6
    assert json.loads(manifest_of(write(tmp_path / "later.csv")).read_text())["rows"] == 12


def test_a_day_that_is_over_or_closed_is_said_to_be(tmp_path: Path) -> None:
    yesterday = today() - timedelta(1)
    assert write_file(JOURNAL, Chosen(first=yesterday, last=yesterday), tmp_path / "a.csv").is_over
    chosen = Chosen(first=today(), last=today())
    account = PspAccountFactory.create()
    close_days("", today())
    assert not write_file(JOURNAL, chosen, tmp_path / "partly.csv").is_closed
    close_days(account.code, today())
    closed = write_file(JOURNAL, chosen, tmp_path / "closed.csv")
    assert (closed.is_over, closed.is_closed) == (False, True)


# --- the command ----------------------------------------------------------------------------------


def test_the_command_writes_checks_and_lists(tmp_path: Path, capsys: Any) -> None:
    book(*sale(usd(1234)))
    path = tmp_path / "tb.csv"
    call_command("export", "trial_balance", on=today(), out=str(path))
    call_command("export", "check", str(path))
    call_command("export", "all", on=today(), out=str(tmp_path))
    call_command("export", "list")
    said = capsys.readouterr().out
    assert f"{path} is what its manifest says" in said
    assert {f"{name}_{today()}.csv" for name in EXPORTS} <= {
        each.name for each in tmp_path.iterdir()
    }
    assert all(f"\n{name}" in said for name in EXPORTS)


def test_standard_output_has_the_file_alone(capfd: Any) -> None:
    book(*sale(usd(1234)))
    call_command("export", "journal", first=today(), last=today(), out="-")
    out, err = capfd.readouterr()
    assert out.startswith("effective_date,value_date,posted_at,")
    assert json.loads(err)["rows"] == out.count("\n") - 1 == 6


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["general_ledger"], "no export is called 'general_ledger'"),
        (["journal", "--from", "2026-02-02", "--to", "2026-02-01"], "is before the first day"),
        (["open_items", "--from", "2026-02-01", "--to", "2026-02-02"], "the end of one day"),
        (["unmatched", "--on", "2026-02-01"], "it has no days"),
        (["journal", "--on", "2026-02-01", "--to", "2026-02-02"], "--on is one day"),
        (["unmatched", "--merchant", "acct_x"], "no such merchant"),
        (["all", "--out", "/no/such/folder"], "an existing folder"),
        (["check", "/no/such/file.csv"], "No such file"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(arguments: list[str], why: str) -> None:
    with pytest.raises(CommandError, match=why):
        call_command("export", *arguments)
