"""One step: payments arrive at a fixed rate, everything runs, and everything is counted."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import psycopg

from bench.all_running import counting
from bench.all_running.backlog import Sample, Sampler, growing, read
from bench.all_running.instruments import (
    Use,
    granian_between,
    server_between,
    snapshot,
    use_between,
)
from bench.all_running.processes import Running, Shop
from bench.all_running.stream_lag import StreamWatch
from bench.figures import Window, p95_by_second, percentile, window_of
from bench.load import Specification, new_run
from bench.rounds import OPEN_LOOP_CONNECTIONS, PATH, generate
from bench.webhooks.verdict import arrivals_of
from paymentsite.launcher.ports import HOST

PSP_LATENCY_MS: Final = {"median": 80.0, "p99": 240.0}
P95_MS_MOST: Final = 300.0
LAG_P95_SECONDS_MOST: Final = 2.0
_SETTLED_WITHIN_SECONDS: Final = 20.0
_POLL_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What arrives in one step, and for how long."""

    rate: float
    seconds: float
    counted_seconds: float
    """With every statement logged, after the time that is measured; 0: not at all."""
    shop: Shop
    notifications_lost: bool = False

    @property
    def name(self) -> str:
        lost = ", notifications lost" if self.notifications_lost else ""
        return f"{self.rate:g}/s, {self.shop.name}{lost}"


def run_step(running: Running, plan: Plan) -> dict[str, Any]:
    """Measure one step; its figures as JSON would hold them."""
    webhooks = {"lose": 1.0} if plan.notifications_lost else {}
    running.psp.behave({"latency_ms": PSP_LATENCY_MS, "kinds": ["authorize"], "webhooks": webhooks})
    with running.database() as connection:
        measured = _measured(running, plan, connection)
        counted = _counted(running, plan, connection) if plan.counted_seconds else {}
    return {"name": plan.name, "rate": plan.rate, **measured, **counted}


def idle(running: Running, seconds: float) -> dict[str, float]:
    """Milliseconds of processor per second and process while no payment arrives."""
    with running.database() as connection:
        _wait_until_settled(running, connection)
        before = snapshot(running, connection)
        time.sleep(seconds)
        after = snapshot(running, connection)
    lasted = after.at - before.at
    used = use_between(before, after)
    return {name: round(each.total / lasted * 1000, 2) for name, each in used.items()}


def _measured(running: Running, plan: Plan, connection: psycopg.Connection[Any]) -> dict[str, Any]:
    arrived_before = running.arrivals.stat().st_size
    before = snapshot(running, connection)
    with StreamWatch(running) as watch:
        with Sampler(running) as sampler:
            seen = _load(running, plan, seconds=plan.seconds)
        with running.redis() as redis:
            left = read(connection, redis)
        settled_seconds = _wait_until_settled(running, connection)
    after = snapshot(running, connection)
    payments = len(seen["latencies_ms"])
    window = window_of(seen["latencies_ms"], seen["seconds"])
    grow = growing(sampler.samples, per_second=plan.rate)
    delivery = _delivery_lags(running.arrivals, arrived_before)
    stream = watch.lags()
    failed = sum(count for status, count in seen["statuses"].items() if status != "200")
    server = server_between(before, after)
    wal = _wal_files(running, connection)
    if wal is not None:
        images = wal.image_bytes(before.server["lsn"], _flushed(connection))
        server |= {"wal_image_bytes": images, "wal_bytes": server["wal_bytes"] - images}
    behind = why_behind(
        window=window,
        delivery_lag_p95=percentile(delivery, 95) if delivery else 0.0,
        stream_lag_p95=percentile(stream, 95) if stream else 0.0,
        growing=grow,
        failed=failed,
        settled=settled_seconds is not None,
    )
    return {
        "payments": payments,
        "window": asdict(window),
        "p95_ms_by_second": p95_by_second(seen["due_seconds"], seen["latencies_ms"]),
        "failed": failed,
        "behind": behind,
        "lag_seconds": {"delivery": _lags(delivery), "stream": _lags(stream)},
        "backlog": asdict(left),
        "settled_seconds": settled_seconds,
        "processor_ms": _per_payment(use_between(before, after), payments),
        "elsewhere_seconds": _elsewhere(before.busy_seconds, after.busy_seconds, seen),
        "per_payment": {name: round(value / payments, 3) for name, value in server.items()},
        "pool": _pool(sampler.samples),
        "granian": _granian(before, after),
    }


def _elsewhere(before: float, after: float, seen: dict[str, Any]) -> float:
    return round(after - before - seen["processor_seconds"], 2)


def why_behind(
    *,
    window: Window,
    delivery_lag_p95: float,
    stream_lag_p95: float,
    growing: Sequence[str],
    failed: int,
    settled: bool,
) -> list[str]:
    """Why the rate of a step is not sustained; empty if it is."""
    reasons = []
    if window.p95_ms >= P95_MS_MOST:
        reasons.append(f"p95 {window.p95_ms:.0f} ms")
    if failed:
        reasons.append(f"{failed} not answered with 200")
    for name, lag in (("delivery", delivery_lag_p95), ("stream", stream_lag_p95)):
        if lag >= LAG_P95_SECONDS_MOST:
            reasons.append(f"lag p95 of {name} {lag:.1f} s")
    reasons += [f"{name} grow" for name in growing]
    if not settled:
        reasons.append(f"not settled after {_SETTLED_WITHIN_SECONDS:.0f} s")
    return reasons


def _counted(running: Running, plan: Plan, connection: psycopg.Connection[Any]) -> dict[str, Any]:
    """The same rate again for a while, with every statement logged."""
    wal = _wal_files(running, connection)
    if wal is None:
        return {}
    log_begins = running.postgres_log.stat().st_size
    begin = str(_one(connection, "SELECT pg_current_wal_insert_lsn()::text"))
    with _logged(connection):
        payments = len(_load(running, plan, seconds=plan.counted_seconds)["latencies_ms"])
        _wait_until_settled(running, connection)
    end = _flushed(connection)
    with running.postgres_log.open(errors="replace") as log:
        log.seek(log_begins)
        by_process = counting.read_log(log)
    by_process.pop("bench", None)
    written = counting.read_wal(
        wal.records(begin, end),
        relations=counting.relations_of(connection),
        processes={
            each: name for name, counted in by_process.items() for each in counted.transaction_ids
        },
    )
    return {"counted": counts_per_payment(by_process, written, payments)}


def _wal_files(running: Running, connection: psycopg.Connection[Any]) -> counting.WalFiles | None:
    """None: the server is not ours, or not on this machine."""
    if running.superuser_url is None or running.postgres_pid is None:
        return None
    data = Path(str(_one(connection, "SHOW data_directory")))
    return counting.WalFiles(server_pid=running.postgres_pid, data=data)


def _flushed(connection: psycopg.Connection[Any]) -> str:
    """Up to where the WAL can be read from its files."""
    return str(_one(connection, "SELECT pg_current_wal_flush_lsn()::text"))


def counts_per_payment(
    by_process: dict[str, counting.Counted], written: counting.Written, payments: int
) -> dict[str, Any]:
    """Everything that was counted, divided by the payments."""

    def each_of(counts: Counter[str]) -> dict[str, float]:
        return {name: round(count / payments, 2) for name, count in counts.most_common() if count}

    statements = sum(sum(each.statements.values()) for each in by_process.values())
    return {
        "payments": payments,
        "statements": round(statements / payments, 2),
        "transactions": round(sum(e.transactions for e in by_process.values()) / payments, 2),
        "writing_commits": round(sum(e.writing_commits for e in by_process.values()) / payments, 2),
        "wal_record_bytes": round(sum(written.record_bytes.values()) / payments),
        "wal_image_bytes": round(written.image_bytes / payments),
        "index_entries": round(sum(written.index_entries.values()) / payments, 2),
        "by_process": {
            name: {
                "statements": round(sum(counted.statements.values()) / payments, 2),
                "transactions": round(counted.transactions / payments, 2),
                "writing_commits": round(counted.writing_commits / payments, 2),
                "wal_record_bytes": round(written.record_bytes[name] / payments),
                "statement_list": each_of(counted.statements),
                "parsed": each_of(counted.parsed),
                "milliseconds": each_of(counted.milliseconds),
            }
            for name, counted in sorted(by_process.items())
        },
        "wal_bytes_without_transaction": round(written.record_bytes["no transaction"] / payments),
        "wal_by_relation": each_of(written.by_relation),
        "index_entries_by_index": each_of(written.index_entries),
        "heap_records": each_of(written.heap_records),
    }


@contextmanager
def _logged(connection: psycopg.Connection[Any]) -> Iterator[None]:
    counting.log_statements(connection, on=True)
    time.sleep(0.2)  # each backend reads the settings before its next statement
    try:
        yield
    finally:
        counting.log_statements(connection, on=False)
        time.sleep(0.2)


def _load(running: Running, plan: Plan, *, seconds: float) -> dict[str, Any]:
    return generate(
        Specification(
            host=HOST,
            port=running.api_port,
            path=PATH,
            secret_key=plan.shop.secret_key,
            run=new_run(),
            connections=OPEN_LOOP_CONNECTIONS,
            seconds=seconds,
            rate=plan.rate,
        )
    )


def _wait_until_settled(running: Running, connection: psycopg.Connection[Any]) -> float | None:
    """Wait until nothing is left to do; after how many seconds. Returns None if it never was."""
    began = time.monotonic()
    with running.redis() as redis:
        while time.monotonic() - began < _SETTLED_WITHIN_SECONDS:
            if not read(connection, redis).total():
                return round(time.monotonic() - began, 2)
            time.sleep(_POLL_SECONDS)
    return None


def _per_payment(used: dict[str, Use], payments: int) -> dict[str, dict[str, float]]:
    return {
        name: {
            "own": round(each.own / payments * 1000, 3),
            "in_postgresql": round(each.in_postgresql / payments * 1000, 3),
        }
        for name, each in used.items()
    }


def _delivery_lags(log: Path, offset: int) -> list[float]:
    with log.open() as lines:
        lines.seek(offset)
        return [each.lag_seconds for each in arrivals_of(lines)]


def _lags(values: Sequence[float]) -> dict[str, float]:
    if not values:
        return {"count": 0}
    return {
        "count": len(values),
        "p50": round(percentile(values, 50), 3),
        "p95": round(percentile(values, 95), 3),
        "most": round(max(values), 3),
    }


def _one(connection: psycopg.Connection[Any], query: str) -> Any:
    row = connection.execute(query.encode()).fetchone()
    return row[0] if row else None


def _granian(before: Any, after: Any) -> dict[str, Any]:
    """Requests by worker, and microseconds that threads waited for the interpreter lock."""
    return {
        "requests": granian_between(before, after, "requests_handled"),
        "interpreter_wait_us": granian_between(before, after, "py_wait_cumulative"),
        "busy_us": granian_between(before, after, "blocking_busy_cumulative"),
    }


def _pool(samples: Sequence[Sample]) -> dict[str, float]:
    """Threads of the API that waited for a connection of the pool, and connections in use."""
    waiting = [each.pool_waiting for each in samples] or [0.0]
    in_use = [each.pool_in_use for each in samples] or [0.0]
    return {
        "waiting_mean": round(sum(waiting) / len(waiting), 2),
        "waiting_most": max(waiting),
        "in_use_mean": round(sum(in_use) / len(in_use), 2),
        "in_use_most": max(in_use),
    }
