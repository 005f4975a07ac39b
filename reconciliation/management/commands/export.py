"""`manage.py export`: the books and payments as CSV files for finance, each with a manifest."""

from __future__ import annotations

import json
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ledger.exceptions import BooksDoNotBalance
from reconciliation.services.exports.declaration import Chosen, Export, Limit, Period
from reconciliation.services.exports.files import (
    faults_of,
    manifest_of,
    name_of_file,
    write_file,
)
from reconciliation.services.exports.registry import EXPORTS, chosen_by, export_named
from reconciliation.services.exports.scheduled import write_all_due_exports
from reconciliation.services.exports.writing import Manifest, write_export

_STDOUT: Final = "-"
_SAY_EVERY_SECONDS: Final = 2.0


class Command(BaseCommand):
    help = (
        "Write an export as CSV, and beside it a manifest with control totals and SHA-256. `list` "
        "shows all exports, `all` writes each one into a folder, `check FILE` adds a file up again "
        "and compares it with its manifest, `scheduled` writes now what the sweep would write."
    )
    requires_system_checks = ()  # A third of the time until it runs; a deployment checks once.

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="an export, or: list, all, check, scheduled")
        parser.add_argument("file", nargs="?", default="", help="of `check`: the file")
        parser.add_argument("--on", type=utc_day, help="the day (UTC), such as 2026-11-27")
        parser.add_argument("--from", dest="first", type=utc_day, help="the first day")
        parser.add_argument("--to", dest="last", type=utc_day, help="the last day")
        parser.add_argument("--merchant", default="", help="of this merchant alone: acct_…")
        parser.add_argument("--account", default="", help="of accounts of this code alone")
        parser.add_argument("--currency", default="", help="in this currency alone")
        parser.add_argument(
            "--out", default="", help="file or folder; -: standard output, the manifest after it"
        )

    def handle(self, *args: Any, **given: Any) -> None:
        try:
            self._do(given)
        except (ValueError, OSError, BooksDoNotBalance) as refusal:
            raise CommandError(str(refusal)) from refusal

    def _do(self, given: dict[str, Any]) -> None:
        name = given["name"]
        if name == "list":
            for export in EXPORTS.values():
                self.stdout.write(f"{export.name.ljust(22)}{export.period}: {export.what}")
        elif name == "check":
            self._check(Path(given["file"]))
        elif name == "scheduled":
            for row in write_all_due_exports():
                self.stdout.write(f"{row.file}: {row.row_count} rows")
        elif name == "all":
            self._write_all(given)
        else:
            export, (first, last) = export_named(name), _days(given)
            limits = {limit.value: given[limit.value] for limit in Limit}
            self._write(export, chosen_by(export, first=first, last=last, **limits), given["out"])

    def _write_all(self, given: dict[str, Any]) -> None:
        """Each export into one folder: those about the end of a day of the last one."""
        folder = Path(given["out"] or ".")
        if any(given[limit.value] for limit in Limit) or not folder.is_dir():
            raise ValueError("`all` takes days and an existing folder, and is limited to nothing")
        first, last = _days(given)
        for export in EXPORTS.values():
            if export.period is Period.NOW:
                chosen = chosen_by(export)
            else:
                begin = last if export.period is Period.DAY else first
                chosen = chosen_by(export, first=begin, last=last)
            self._write(export, chosen, str(folder))

    def _check(self, path: Path) -> None:
        """Exit 1 if the file is not what its manifest says."""
        faults = faults_of(path)
        for fault in faults:
            self.stdout.write(fault)
        if faults:
            sys.exit(1)
        self.stdout.write(f"{path} is what its manifest says")

    def _write(self, export: Export, chosen: Chosen, out: str) -> None:
        say = _Progress(self, export.name)
        if out == _STDOUT:
            manifest = write_export(export, chosen, sys.stdout.buffer, say_rows=say)
            sys.stdout.buffer.flush()
            self.stderr.write(json.dumps(manifest.as_json(_STDOUT), indent=2), self.style.NOTICE)
            return
        path = Path(out or ".")
        if path.is_dir():
            path /= name_of_file(export, chosen)
        manifest = write_file(export, chosen, path, say_rows=say)
        self._say_written(path, manifest)

    def _say_written(self, path: Path, manifest: Manifest) -> None:
        self.stdout.write(f"{path}: {manifest.rows} rows; {manifest_of(path).name}")


class _Progress:
    """Says on standard error how far a long export is."""

    def __init__(self, command: BaseCommand, name: str) -> None:
        self._command = command
        self._name = name
        self._said_at = time.monotonic()

    def __call__(self, rows: int) -> None:
        now = time.monotonic()
        if now - self._said_at >= _SAY_EVERY_SECONDS:
            self._said_at = now
            self._command.stderr.write(f"{self._name}: {rows} rows", self._command.style.NOTICE)


def utc_day(text: str) -> date:
    return date.fromisoformat(text)


def _days(given: dict[str, Any]) -> tuple[date | None, date | None]:
    """The first and the last."""
    if given["on"] and (given["first"] or given["last"]):
        raise ValueError("--on is one day; --from and --to are a span")
    return given["first"] or given["on"], given["last"] or given["on"]
