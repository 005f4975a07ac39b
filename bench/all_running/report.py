"""The rows of `all running`: the table that a person reads, and the verdicts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from bench.report import Verdict

SUSTAINED_LEAST: Final = 100.0
PROCESSOR_MS_MOST: Final = {"one endpoint": 18.0, "no endpoint": 14.0}
WAL_BYTES_MOST: Final = 13_000
_TABLES_SHOWN: Final = 8


def verdicts_of(figures: dict[str, Any]) -> Iterator[Verdict]:
    """What the figures say, row by row."""
    rate = figures["sustained_per_second"]
    bare = figures["bare_view"]["sustained_per_second"]
    yield Verdict(
        "payments/s sustained with everything running",
        f"{rate:g}",
        f"at least {SUSTAINED_LEAST:g}; the bare view with nothing beside it: {bare:g}",
        rate >= SUSTAINED_LEAST,
    )
    silent = figures["variants"][0]
    same = _steps_like(silent, figures["steps"])
    for step, kind in (*((each, "one endpoint") for each in same), (silent, "no endpoint")):
        used, most = processor_ms(step), PROCESSOR_MS_MOST[kind]
        yield Verdict(
            f"processor per payment, all processes, {kind}",
            f"{used:.1f} ms",
            f"at most {most:g} ms, at {step['rate']:g}/s",
            used <= most,
        )
    wal = silent["per_payment"]["wal_bytes"]
    yield Verdict(
        "WAL per payment, no endpoint",
        f"{wal / 1000:.1f} kB",
        f"at most {WAL_BYTES_MOST / 1000:g} kB",
        wal <= WAL_BYTES_MOST,
    )


def processor_ms(step: dict[str, Any]) -> float:
    """Of one payment, over all processes."""
    return sum(each["own"] + each["in_postgresql"] for each in step["processor_ms"].values())


def lines_of(figures: dict[str, Any]) -> Iterator[str]:
    """The report, line by line."""
    steps = [*figures["steps"], *figures["variants"]]
    yield from _step_lines(steps)
    yield ""
    yield from _processor_lines(steps, figures["idle_ms_per_second"])
    yield ""
    yield from _instrument_lines(steps)
    for step in _steps_like(figures["variants"][0], figures["steps"]):
        if "counted" in step:
            yield ""
            yield from _count_lines(step)


def _steps_like(variant: dict[str, Any], steps: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The step with an endpoint at the rate of the variants; none if the ramp ended before it."""
    return [each for each in steps if each["rate"] == variant["rate"]]


def _step_lines(steps: Sequence[dict[str, Any]]) -> Iterator[str]:
    yield (
        f"{'all running':<38}{'p50':>6}{'p95':>6}{'p99 ms':>8}{'lag p95 s':>12}{'left':>6}"
        f"{'ms':>7}{'kB WAL':>8}{'stmts':>7}{'writes':>8}"
    )
    for step in steps:
        window, lag = step["window"], step["lag_seconds"]
        lags = "/".join(f"{lag[kind].get('p95', 0):.1f}" for kind in ("delivery", "stream"))
        statements = step.get("counted", {}).get("statements")
        yield (
            f"  {step['name']:<36}{window['p50_ms']:>6.0f}{window['p95_ms']:>6.0f}"
            f"{window['p99_ms']:>8.0f}{lags:>12}{sum(step['backlog'].values()):>6}"
            f"{processor_ms(step):>7.1f}{step['per_payment']['wal_bytes'] / 1000:>8.1f}"
            f"{'–' if statements is None else f'{statements:.0f}':>7}"
            f"{step['per_payment']['writing_commits']:>8.1f}"
        )
        if step["behind"]:
            yield f"    behind: {', '.join(step['behind'])}"
    yield "  lag: of delivery / of the stream. left: backlog at the end. ms: processor per payment."
    yield "  kB WAL: without images of pages. writes: transactions that write, per payment."


def _processor_lines(steps: Sequence[dict[str, Any]], idle: dict[str, float]) -> Iterator[str]:
    """Per process: its own milliseconds, and after the plus those of its backends."""
    labels = "".join(f"{_short(step):>13}" for step in steps)
    yield f"{'processor ms: own + in PostgreSQL':<34}{'idle/s':>8}{labels}"
    names = dict.fromkeys(name for step in steps for name in step["processor_ms"])
    for name in names:
        cells = ""
        for step in steps:
            used = step["processor_ms"].get(name, {"own": 0.0, "in_postgresql": 0.0})
            text = f"{used['own']:.1f} + {used['in_postgresql']:.1f}"
            cells += f"{text:>13}"
        yield f"  {name:<32}{idle.get(name, 0.0):>8.1f}{cells}"
    yield f"  {'together':<32}{sum(idle.values()):>8.1f}" + "".join(
        f"{processor_ms(step):>13.1f}" for step in steps
    )


def _short(step: dict[str, Any]) -> str:
    marks = {"no endpoint": " no ep", "notifications lost": " lost"}
    found = [mark for text, mark in marks.items() if text in step["name"]]
    return f"{step['rate']:g}/s{found[-1] if found else ''}"


def _instrument_lines(steps: Sequence[dict[str, Any]]) -> Iterator[str]:
    yield "what explains it"
    for step in steps:
        pool, granian, per = step["pool"], step["granian"], step["per_payment"]
        seconds = "/".join(f"{each:.0f}" for each in step["p95_ms_by_second"])
        requests = "/".join(f"{each:.0f}" for each in granian["requests"])
        waits = sum(granian["interpreter_wait_us"]) / 1000 / step["payments"]
        yield f"  {step['name']}: p95 ms by second {seconds}"
        yield (
            f"    pool: {pool['in_use_mean']:g} in use, {pool['waiting_mean']:g} waiting "
            f"(most {pool['waiting_most']:g}); requests by worker {requests}; waited for the "
            f"interpreter lock {waits:.1f} ms a payment"
        )
        yield (
            f"    WAL a payment: {per['wal_fsyncs']:.2f} fsyncs of {_each_ms(per):.1f} ms, "
            f"{per['wal_writes']:.2f} writes, buffers full {per['wal_buffers_full']:g}"
        )
        yield (
            f"    blocks of tables a payment: {per['table_writes']:.2f} written, "
            f"{per['table_extends']:.2f} added, {per['table_reads']:.2f} read"
        )


def _each_ms(per_payment: dict[str, float]) -> float:
    """How long one fsync of the WAL took."""
    return per_payment["wal_fsync_ms"] / (per_payment["wal_fsyncs"] or 1.0)


def _count_lines(step: dict[str, Any]) -> Iterator[str]:
    counted = step["counted"]
    heads = f"{'statements':>11}{'commits':>9}{'writing':>9}{'WAL B':>8}"
    yield f"{'counted at ' + step['name']:<42}{heads}"
    for name, each in counted["by_process"].items():
        yield (
            f"  {name:<40}{each['statements']:>11.1f}{each['transactions']:>9.1f}"
            f"{each['writing_commits']:>9.1f}{each['wal_record_bytes']:>8.0f}"
        )
    yield (
        f"  {'together':<40}{counted['statements']:>11.1f}{counted['transactions']:>9.1f}"
        f"{counted['writing_commits']:>9.1f}{counted['wal_record_bytes']:>8.0f}"
    )
    dearest = list(counted["wal_by_relation"].items())[:_TABLES_SHOWN]
    yield f"  {counted['index_entries']:.0f} index entries. Most WAL: " + ", ".join(
        f"{name} {size:.0f}" for name, size in dearest
    )
