"""Reads what each process and PostgreSQL have done so far, and attributes differences by process.

A backend of PostgreSQL belongs to the process whose name its connection carries.
"""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg

from bench.all_running.processes import Running
from bench.processor_time import busy_seconds, seconds_of_line, seconds_of_tree

OWN_WORK: Final = "PostgreSQL's own work"
"""WAL writer, checkpointer, autovacuum, and backends that have ended."""
_BENCH: Final = "bench"
_BACKENDS: Final = """
    SELECT pid, CASE WHEN backend_type = 'client backend' THEN application_name ELSE %s END
      FROM pg_stat_activity"""
_SERVER: Final = """
    SELECT pg_current_wal_insert_lsn()::text AS lsn,
           pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS next_transaction,
           (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()) AS commits,
           (SELECT sum(fsyncs) FROM pg_stat_io WHERE object = 'wal') AS wal_fsyncs,
           (SELECT sum(fsync_time) FROM pg_stat_io WHERE object = 'wal') AS wal_fsync_ms,
           (SELECT sum(writes) FROM pg_stat_io WHERE object = 'wal') AS wal_writes,
           (SELECT sum(reads) FROM pg_stat_io WHERE object = 'relation') AS table_reads,
           (SELECT sum(writes) FROM pg_stat_io WHERE object = 'relation') AS table_writes,
           (SELECT sum(extends) FROM pg_stat_io WHERE object = 'relation') AS table_extends,
           (SELECT wal_buffers_full FROM pg_stat_wal) AS wal_buffers_full,
           (SELECT num_timed + num_requested FROM pg_stat_checkpointer) AS checkpoints"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything that is counted, at one moment."""

    at: float
    processor_seconds: Mapping[str, float]
    """By process, with its children."""
    backend_seconds: Mapping[tuple[str, int], float]
    """By name of the process and pid of its backend."""
    postgres_seconds: float
    """Of all processes of PostgreSQL, those that have ended too."""
    busy_seconds: float
    server: Mapping[str, Any]
    granian: Mapping[str, float]


def snapshot(running: Running, connection: psycopg.Connection[Any]) -> Snapshot:
    """Read everything now."""
    backends = connection.execute(_BACKENDS, [OWN_WORK]).fetchall()
    cursor = connection.execute(_SERVER)
    values = cursor.fetchone() or ()
    names = [column.name for column in cursor.description or ()]
    tree = seconds_of_tree(running.postgres_pid) if running.postgres_pid else 0.0
    return Snapshot(
        at=time.monotonic(),
        processor_seconds={name: seconds_of_tree(pid) for name, pid in running.roots().items()},
        backend_seconds=_seconds_of_backends(backends) if running.postgres_pid else {},
        postgres_seconds=tree,
        busy_seconds=busy_seconds(),
        server=dict(zip(names, values, strict=True)),
        granian=granian_counters(running.metrics_port),
    )


def _seconds_of_backends(backends: Iterable[tuple[int, str]]) -> dict[tuple[str, int], float]:
    found = {}
    for pid, name in backends:
        try:
            found[name, pid] = seconds_of_line(Path(f"/proc/{pid}/stat").read_text())
        except (FileNotFoundError, ProcessLookupError):
            continue  # its time is in that of the server that waited for it
    return found


@dataclass(frozen=True, slots=True)
class Use:
    """Processor seconds of one process: its own, and those of its backends in PostgreSQL."""

    own: float
    in_postgresql: float

    @property
    def total(self) -> float:
        return self.own + self.in_postgresql


def use_between(before: Snapshot, after: Snapshot) -> dict[str, Use]:
    """Processor seconds by process, and PostgreSQL's own; without the bench's own queries.

    What PostgreSQL used and no living backend accounts for is its own work.
    """
    in_postgresql: dict[str, float] = {}
    for (name, pid), seconds in after.backend_seconds.items():
        used = seconds - before.backend_seconds.get((name, pid), 0.0)
        in_postgresql[name] = in_postgresql.get(name, 0.0) + used
    whole = after.postgres_seconds - before.postgres_seconds
    named = sum(used for name, used in in_postgresql.items() if name != OWN_WORK)
    in_postgresql.pop(OWN_WORK, None)
    in_postgresql.pop(_BENCH, None)
    found = {
        name: Use(seconds - before.processor_seconds.get(name, 0.0), in_postgresql.pop(name, 0.0))
        for name, seconds in after.processor_seconds.items()
    }
    rest = max(0.0, whole - named) + sum(in_postgresql.values())
    return {**found, OWN_WORK: Use(0.0, rest)}


def server_between(before: Snapshot, after: Snapshot) -> dict[str, float]:
    """What PostgreSQL counted; the bytes of WAL as `wal_bytes`, writing commits too."""
    counted = {
        name: float(after.server[name] or 0) - float(before.server[name] or 0)
        for name in after.server
        if name not in ("lsn", "next_transaction")
    }
    counted["wal_bytes"] = bytes_at(after.server["lsn"]) - bytes_at(before.server["lsn"])
    counted["writing_commits"] = (
        after.server["next_transaction"] - before.server["next_transaction"]
    )
    return counted


def bytes_at(lsn: str) -> int:
    """A position in the WAL as a number of bytes."""
    high, _, low = lsn.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def granian_counters(port: int) -> dict[str, float]:
    """granian's own counters by name and worker, as `granian_requests_handled{worker="1"}`."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    pairs = (line.rpartition(" ") for line in lines if line and not line.startswith("#"))
    return {name: float(value) for name, _, value in pairs}


def granian_between(before: Snapshot, after: Snapshot, name: str) -> list[float]:
    """How a counter of granian grew, worker by worker."""
    return [
        value - before.granian.get(key, 0.0)
        for key, value in sorted(after.granian.items())
        if key.startswith(f"granian_{name}{{")
    ]
