"""Reconciles a report in this process: `… -m bench.reconciliation.measured LINES SEED WORKERS`.

The report is written from the operations in the database, with defects by the seed. Figures are
printed as JSON. With `account` alone it makes the PSP account of the history; with `match` it is
one more worker, which matches lines until none is due.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

import django

from bench.processor_time import seconds_of_line
from bench.reconciliation.report_file import moved, write_report

_WAITED_SECONDS_MOST: Final = 3_600.0


def measure(lines: int, seed: int, workers: int) -> dict[str, Any]:
    """Store, read and match one report, import it again, and verify the books."""
    from payments.models import PspAccount
    from reconciliation.services.reports.reading import read_report, remove_spent_lines

    account = PspAccount.objects.get(code="sandbox")
    stages: dict[str, dict[str, float]] = {}
    before_mib = _peak_mib()
    with tempfile.TemporaryFile() as file:
        seeded = write_report(file, moved(account), lines=lines, seed=seed)
        size = file.tell()
        with _timed(stages, "store"):
            report = _stored(file, account, "large.csv")
        with _timed(stages, "read"):
            read_report(report.pk)
        with _timed(stages, "match and book"):
            others = _matched_by(workers)
        for name in ("here", "postgresql"):
            stages["match and book"][name] += sum(each[name] for each in others)
        file.seek(0)
        with _timed(stages, "second import"):
            again = _stored(file, account, "again.csv")
            read_report(again.pk)
    remove_spent_lines(seconds=60)
    again.refresh_from_db()
    with _timed(stages, "verify the lines"):
        differences = _differences()
    figures = _confusion(seeded)
    holds = figures["false"] == 0 and differences == 0 and again.lines_new == 0
    holds = holds and all(each["seeded"] == each["found"] for each in figures["defects"].values())
    return {
        "lines": lines,
        "workers": workers,
        "bytes": size,
        "stages": stages,
        "peak_before_mib": before_mib,
        "peak_mib": _peak_mib(),
        "differences": differences,
        "new_again": again.lines_new,
        **figures,
        "holds": holds,
    }


def _stored(file: BinaryIO, account: Any, name: str) -> Any:
    from reconciliation.services.reports.archive import store_report

    stored = store_report(account=account, name=name, file=file, imported_by="staff:bench")
    return stored.report


def _matched_by(workers: int) -> list[dict[str, float]]:
    """Match everything, with so many processes; what the others used."""
    command = [sys.executable, "-m", "bench.reconciliation.measured", "match"]
    others = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(workers - 1)]
    _match_all()
    return [json.loads(each.communicate()[0]) for each in others]


def _match_all() -> None:
    """As the sweeps do, one after the other, until no line is due."""
    from reconciliation.services.matching.sweep import match_due_lines

    end = time.monotonic() + _WAITED_SECONDS_MOST
    while match_due_lines() and time.monotonic() < end:
        pass


def _differences() -> int:
    """How many lines differ from what they booked: what `manage.py verify_ledger` finds of them."""
    from reconciliation.services.verification import line_differences

    return sum(1 for _ in line_differences())


def _confusion(seeded: dict[str, str]) -> dict[str, Any]:
    """By defect how many were seeded and found; and how many lines are suspected wrongly."""
    from reconciliation.models import SettlementLine

    rows = SettlementLine.objects.exclude(status="matched").values_list("identity", "discrepancy")
    found = dict(rows)
    expected = Counter(seeded.values())
    right = Counter(code for identity, code in seeded.items() if found.get(identity) == code)
    return {
        "defects": {
            code: {"seeded": count, "found": right[code]} for code, count in expected.items()
        },
        "false": sum(identity not in seeded for identity in found),
    }


@contextmanager
def _timed(stages: dict[str, dict[str, float]], name: str) -> Iterator[None]:
    """Note how long a stage takes, and the processor time of this process and of its backend."""
    began, used, used_there = time.monotonic(), time.process_time(), _backend_seconds()
    yield
    stages[name] = {
        "seconds": time.monotonic() - began,
        "here": time.process_time() - used,
        "postgresql": _backend_seconds() - used_there,
    }


def _backend_seconds() -> float:
    from ledger.database.statements import execute

    [(pid,)] = execute("SELECT pg_backend_pid()")
    return seconds_of_line(Path(f"/proc/{pid}/stat").read_text())


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(*given: str) -> int:
    """Make the account, match, or measure, with the settings of this process."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "paymentsite.settings")
    django.setup()
    if given == ("account",):
        from bench.seed import sandbox_account

        sandbox_account()
        return 0
    if given == ("match",):
        stages: dict[str, dict[str, float]] = {}
        with _timed(stages, "match"):
            _match_all()
        sys.stdout.write(json.dumps(stages["match"]))
        return 0
    sys.stdout.write(json.dumps(measure(*map(int, given))))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
