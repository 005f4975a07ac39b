"""Statements, commits and WAL of every process, as the server logged and wrote them. Exact.

PostgreSQL logs every statement with the name of its process while a payment load runs, and
`pg_waldump` reads what was written meanwhile. pg_stat_statements is not among the embedded server's
extensions. Statements inside functions and triggers are part of the one that called them.
"""

from __future__ import annotations

import re
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql

from bench.counting import summary
from paymentsite.launcher.progress import LauncherError

_PREFIX: Final = "#statement %a|%p|%x|"
_LINE: Final = re.compile(
    r"#statement ([^|]*)\|(\d+)\|(\d+)\|LOG: +"
    r"duration: ([\d.]+) ms +(statement|parse|bind|execute)[^:]*: (.*)"
)
_STEERING: Final = ("BEGIN", "START", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "SET ", "DEALL")
"""Beginnings of statements that only begin or end something; they are not counted."""
_RECORD: Final = re.compile(
    r"rmgr: (\w+) +len \(rec/tot\): +(\d+)/ +(\d+), tx: +(\d+), .*? desc: (\w+)(.*)"
)
_RELATION: Final = re.compile(r"rel \d+/(\d+)/(\d+)")
_SETTINGS: Final = {
    "log_min_duration_statement": "0",
    "log_line_prefix": _PREFIX,
    "log_parameter_max_length": "0",
}


def log_statements(connection: psycopg.Connection[Any], *, on: bool) -> None:
    """Have a server of ours log every statement of every process, or stop it."""
    for name, value in _SETTINGS.items():
        setting = sql.Identifier(name)
        connection.execute(
            sql.SQL("ALTER SYSTEM SET {} = {}").format(setting, value)
            if on
            else sql.SQL("ALTER SYSTEM RESET {}").format(setting)
        )
    connection.execute("SELECT pg_reload_conf()")


@dataclass(slots=True)
class Counted:
    """What one process did."""

    statements: Counter[str] = field(default_factory=Counter)
    """By what they write or read."""
    milliseconds: Counter[str] = field(default_factory=Counter)
    """In the server: parsing, planning and running, by what they write or read, and `COMMIT`."""
    parsed: Counter[str] = field(default_factory=Counter)
    """Those that were not prepared yet."""
    transactions: int = 0
    """Commits, whether they wrote or not; a statement outside a transaction is one."""
    writing_commits: int = 0
    transaction_ids: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Logged:
    process: str
    backend: str
    transaction_id: int
    """0: none yet."""
    milliseconds: float
    step: str
    """`parse`, `bind` and `execute` of the extended protocol, `statement` of the simple one."""
    text: str


def read_log(lines: Iterable[str]) -> dict[str, Counted]:
    """Count the statements in the server's log, by process."""
    found: dict[str, Counted] = defaultdict(Counted)
    open_transactions: dict[str, int] = {}
    for logged in _logged(lines):
        counted = found[logged.process]
        if logged.transaction_id:
            counted.transaction_ids.add(logged.transaction_id)
        verb = logged.text.lstrip().upper()
        ends = verb.startswith(("COMMIT", "ROLLBACK")) and not verb.startswith("ROLLBACK TO")
        steers = verb.startswith(_STEERING)
        what = verb.partition(" ")[0] if steers else summary(logged.text)
        counted.milliseconds[what] += logged.milliseconds  # type: ignore[assignment]
        if logged.step == "parse":
            counted.parsed[what] += 1
        if logged.step not in ("execute", "statement"):
            continue
        counted.statements[what] += not steers
        if verb.startswith(("BEGIN", "START")):
            open_transactions[logged.backend] = 0
        elif ends:
            counted.transactions += 1
            counted.writing_commits += bool(open_transactions.pop(logged.backend, 0))
        elif logged.backend in open_transactions:
            open_transactions[logged.backend] |= logged.transaction_id
        elif not steers:
            counted.transactions += 1
            counted.writing_commits += bool(logged.transaction_id)
    return dict(found)


def _logged(lines: Iterable[str]) -> Iterator[_Logged]:
    """The statements of a log; lines that begin with a tab continue the one before."""
    matched: re.Match[str] | None = None
    text: list[str] = []
    for line in lines:
        if line.startswith("\t"):
            text.append(line.strip())
            continue
        if matched is not None:
            yield _logged_of(matched, text)
        matched = _LINE.match(line)
        text = []
    if matched is not None:
        yield _logged_of(matched, text)


def _logged_of(matched: re.Match[str], rest: list[str]) -> _Logged:
    process, backend, transaction_id, milliseconds, step, text = matched.groups()
    whole = " ".join([text.strip(), *rest])
    return _Logged(process, backend, int(transaction_id), float(milliseconds), step, whole)


@dataclass(slots=True)
class Written:
    """What was written to the WAL."""

    record_bytes: Counter[str] = field(default_factory=Counter)
    """By process, without images of pages."""
    image_bytes: int = 0
    """Of pages that were written for the first time after a checkpoint."""
    by_relation: Counter[str] = field(default_factory=Counter)
    """Bytes by table or index; commits and the like under the name of their kind."""
    index_entries: Counter[str] = field(default_factory=Counter)
    """By index."""
    heap_records: Counter[str] = field(default_factory=Counter)
    """By table and kind, as `payments_event INSERT`, `payments_operation HOT_UPDATE`."""


def read_wal(
    lines: Iterable[str], *, relations: Mapping[int, str], processes: Mapping[int, str]
) -> Written:
    """Sum up what `pg_waldump` printed; `processes` by transaction id, `relations` by file."""
    written = Written()
    for line in lines:
        matched = _RECORD.match(line)
        if matched is None:
            continue
        manager, record, total, transaction_id, kind, rest = matched.groups()
        process = processes.get(int(transaction_id), "no transaction")
        written.record_bytes[process] += int(record)
        written.image_bytes += int(total) - int(record)
        file = _RELATION.search(rest)
        name = relations.get(int(file[2]), f"file {file[2]}") if file else f"{manager} {kind}"
        written.by_relation[name] += int(record)
        if manager == "Btree" and kind in ("INSERT_LEAF", "INSERT_POST", "SPLIT_L", "SPLIT_R"):
            written.index_entries[name] += 1
        elif manager.startswith("Heap"):
            written.heap_records[f"{name} {kind}"] += 1
    return written


@dataclass(frozen=True, slots=True, kw_only=True)
class WalFiles:
    """The WAL of a server on this machine, read by the server's own `pg_waldump`."""

    server_pid: int
    data: Path

    def records(self, begin: str, end: str) -> Iterator[str]:
        """The records between two positions, line by line."""
        return self._dump("-s", begin, "-e", end)

    def image_bytes(self, begin: str, end: str) -> int:
        """How much of it is images of pages, written for the first time after a checkpoint."""
        for line in self._dump("--stats", "-s", begin, "-e", end):
            if line.startswith("Total"):
                return images_of_total(line)
        return 0

    def _dump(self, *arguments: str) -> Iterator[str]:
        program = Path(f"/proc/{self.server_pid}/exe").resolve().with_name("pg_waldump")
        command = [str(program), "-p", str(self.data / "pg_wal"), *arguments]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as run:
            if run.stdout is None or run.stderr is None:
                raise LauncherError("pg_waldump has no output")
            yield from run.stdout
            error = run.stderr.read()
        if run.returncode:
            raise LauncherError(f"pg_waldump failed: {error}")


def images_of_total(line: str) -> int:
    """The size of images in the last line of `pg_waldump --stats`: count, records, images, all."""
    numbers = re.sub(r"\[[^]]*\]", "", line).split()
    return int(numbers[3])


def relations_of(connection: psycopg.Connection[Any]) -> dict[int, str]:
    """Tables and indexes of the database by the number of their file."""
    return dict(
        connection.execute(
            "SELECT pg_relation_filenode(oid)::bigint, relname FROM pg_class "
            "WHERE pg_relation_filenode(oid) IS NOT NULL"
        ).fetchall()
    )
