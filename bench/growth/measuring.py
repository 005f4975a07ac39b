"""Compares an empty platform with a grown one in one run: the load of the API, and everything else.

Both are served alike, by one PostgreSQL, and measured in alternating windows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from bench import rounds
from bench.all_running.processes import superuser_url_of
from bench.figures import median_window, paired_ratio
from bench.growth.copies import Wanted
from bench.growth.writing import Written
from bench.stage import Side, Stage, run_command, run_python, stage, with_database
from paymentsite.launcher import platform_processes
from paymentsite.launcher.ports import hold_any_port
from paymentsite.launcher.progress import say, step

_ROUNDS: Final = 5
_SECONDS: Final = 6.0
_RATE: Final = 20.0
"""Payments that arrive per second: far below what the machine can do, so that no queue counts."""
_P95_RATIO_MOST: Final = 1.2
_TIMES: Final = 1.5
_MORE_MS: Final = 5.0
"""Shown is what takes so many times as long on the grown platform, and so much longer."""

Grow = Callable[[Mapping[str, str], Wanted], Written]


def measure(wanted: Wanted, json_file: Path, *, grow: Grow) -> int:
    """Grow one of two platforms, measure both, print the table, write the figures."""
    with _both(wanted, grow) as (both, variables, written):
        load = _load(both)
        timed = {}
        for side in (both.reference, both.platform):
            with step(f"time reads, console, sweeps and verification, {side.name}"):
                timed[side.name] = run_python(
                    variables[side.name], "-m", "bench.growth.timing", side.secret_key
                )
    figures = {
        "wanted": asdict(wanted),
        "written": asdict(written),
        "bytes": written.bytes_in_all,
        "postgresql": both.database_facts,
        "load": load,
        "timed": timed,
    }
    json_file.parent.mkdir(parents=True, exist_ok=True)
    json_file.write_text(json.dumps(figures, indent=2) + "\n")
    say()
    for line in lines_of(figures):
        say(line)
    say(f"  figures in {json_file}")
    return 0


@contextmanager
def _both(wanted: Wanted, grow: Grow) -> Iterator[tuple[Stage, dict[str, dict[str, str]], Written]]:
    """The bench's stage, with the empty platform as reference and a grown one beside it."""
    with stage() as running, ExitStack() as stack:
        grown = with_database(running.variables, "bench_grown", stack)
        port = hold_any_port()
        with step("make the tables of the grown platform"):
            run_command(grown, "manage.py", "migrate", "--no-input", "--verbosity", "0")
        owner_url = superuser_url_of(running, grown) or grown["DATABASE_OWNER_URL"]
        written = grow({**grown, "DATABASE_OWNER_URL": owner_url}, wanted)
        process = platform_processes.api(running.folder, grown, port=port)
        process.name = "grown"
        process.log_file = running.folder / "logs" / "grown.log"
        with step("start the API of the grown platform"):
            stack.callback(process.stop)
            process.start()
        both = replace(
            running,
            reference=replace(running.platform, name="empty"),
            platform=Side(
                name="grown", process=process, port=port, secret_key=written.secret_keys[0]
            ),
        )
        yield both, {"empty": running.variables, "grown": grown}, written


def _load(both: Stage) -> dict[str, Any]:
    """Payments that arrive at a low rate, and as many as 16 clients can send."""
    with step(f"measure {_RATE:g} payments/s on both, alternating"):
        arriving = rounds.at_rate(both, rate=_RATE, seconds=_SECONDS, psp_ms=0, psp_p99_ms=0)
    with step("measure the rate of both, alternating"):
        closed = rounds.alternating(
            both, rounds=_ROUNDS, seconds=_SECONDS, clients=16, say=lambda _line: None
        )
    grown, empty = ([each.window for each in side] for side in closed)
    return {
        "at_rate": {
            "grown": asdict(arriving[0].window),
            "empty": asdict(arriving[1].window),
            "p95_ratio": arriving[0].window.p95_ms / arriving[1].window.p95_ms,
        },
        "closed": {
            "grown": asdict(median_window(grown)),
            "empty": asdict(median_window(empty)),
            "p95_ratio": paired_ratio([e.p95_ms for e in grown], [e.p95_ms for e in empty]),
            "rate_ratio": paired_ratio(
                [e.per_second for e in grown], [e.per_second for e in empty]
            ),
        },
    }


def lines_of(figures: Mapping[str, Any]) -> list[str]:
    """The table for people: figures wanted, and what grew."""
    load, timed = figures["load"], figures["timed"]
    lines = [f"  {'':<46}{'empty':>10}{'grown':>10}{'ratio':>8}"]
    for name, shown in (("at_rate", f"{_RATE:g} payments/s"), ("closed", "16 clients")):
        of = load[name]
        is_met = of["p95_ratio"] <= _P95_RATIO_MOST
        lines.append(
            f"{'ok' if is_met else '!!'} {'API p95 ms, ' + shown:<46}"
            f"{of['empty']['p95_ms']:>9.1f}{of['grown']['p95_ms']:>10.1f}{of['p95_ratio']:>8.2f}"
        )
    lines.append(f"  {'payments/s of 16 clients, ratio':<66}{load['closed']['rate_ratio']:>8.2f}")
    lines.append("")
    empty, grown = timed["empty"]["actions"], timed["grown"]["actions"]
    for name in sorted(grown.keys() & empty.keys(), key=lambda each: empty[each] - grown[each]):
        is_slow = _grew(empty[name], grown[name])
        lines.append(
            f"{'!!' if is_slow else '  '} {name + ', ms':<46}{empty[name]:>9.1f}"
            f"{grown[name]:>10.1f}{grown[name] / empty[name]:>8.2f}"
        )
    payments = figures["written"]["payments"]
    per_thousand_ms = (grown["verify_ledger"] - empty["verify_ledger"]) / payments * 1000
    lines.append(f"  {'verify_ledger, ms per 1,000 payments':<58}{per_thousand_ms:>8.1f}")
    return [*lines, "", *_statement_lines(timed)]


def _statement_lines(timed: Mapping[str, Any]) -> list[str]:
    """Statements whose time grew, and those that read a table that grows from end to end."""
    empty, grown = timed["empty"]["statements"], timed["grown"]["statements"]
    lines = ["  statements that grew: ms empty, ms grown"]
    slow = [
        (ms, empty.get(sql, [0.0])[0], sql)
        for sql, (ms, _count) in grown.items()
        if _grew(empty.get(sql, [0.0])[0], ms)
    ]
    for ms, before, sql in sorted(slow, reverse=True)[:30]:
        lines.append(f"     {before:8.1f} {ms:8.1f}  {sql[:240]}")
    lines += ["", "  statements whose plan reads a table that grows from end to end"]
    for sql, reads in timed["grown"]["whole"].items():
        lines.append(f"     [{', '.join(reads)}] {sql[:240]}")
    return lines


def _grew(empty_ms: float, grown_ms: float) -> bool:
    return grown_ms > _TIMES * empty_ms and grown_ms > empty_ms + _MORE_MS
