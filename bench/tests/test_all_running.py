"""The arithmetic of the rows with every process running."""

from __future__ import annotations

import pytest

from bench.all_running import counting
from bench.all_running.backlog import Backlog, Sample, growing
from bench.all_running.instruments import (
    OWN_WORK,
    Snapshot,
    Use,
    bytes_at,
    server_between,
    use_between,
)
from bench.all_running.ramp import sustained
from bench.all_running.report import lines_of, verdicts_of
from bench.all_running.steps import counts_per_payment, why_behind
from bench.all_running.stream_lag import Position, lags_of
from bench.figures import Window, p95_by_second


def _samples(*deliveries: int) -> list[Sample]:
    return [
        Sample(at_seconds=number / 2, backlog=Backlog(deliveries=waiting))
        for number, waiting in enumerate(deliveries)
    ]


def test_a_backlog_that_rises_through_the_whole_load_grows() -> None:
    assert growing(_samples(*range(0, 200, 10)), per_second=40) == ["deliveries"]


def test_a_backlog_that_only_swings_does_not_grow() -> None:
    assert growing(_samples(*[5, 60] * 10), per_second=40) == []


def test_a_backlog_of_less_than_half_a_second_does_not_grow() -> None:
    assert growing(_samples(*range(20)), per_second=40) == []


def test_without_two_samples_nothing_can_be_said_to_grow() -> None:
    assert growing(_samples(10_000), per_second=1) == []


def _snapshot(
    *, own: float, backends: dict[tuple[str, int], float], postgres: float, lsn: str = "0/0"
) -> Snapshot:
    return Snapshot(
        at=0.0,
        processor_seconds={"api": own, "beat": 1.0},
        backend_seconds=backends,
        postgres_seconds=postgres,
        busy_seconds=0.0,
        server={"lsn": lsn, "next_transaction": int(own * 10), "commits": None},
        granian={},
    )


def test_the_time_of_a_backend_is_that_of_the_process_whose_name_it_carries() -> None:
    before = _snapshot(own=1.0, backends={("api", 7): 2.0, ("bench", 9): 1.0}, postgres=10.0)
    after = _snapshot(
        own=4.0,
        # The backend 7 goes on, 8 is new, 9 is the bench's own; 5 s belong to ended ones.
        backends={("api", 7): 3.0, ("api", 8): 0.5, ("bench", 9): 2.0, (OWN_WORK, 3): 0.25},
        postgres=17.5,
    )
    assert use_between(before, after) == {
        "api": Use(3.0, 1.5),
        "beat": Use(0.0, 0.0),
        OWN_WORK: Use(0.0, 5.0),
    }


def test_the_wal_and_the_writing_commits_are_differences() -> None:
    before = _snapshot(own=1.0, backends={}, postgres=0.0, lsn="0/FFFFFFF0")
    after = _snapshot(own=2.0, backends={}, postgres=0.0, lsn="1/10")
    assert server_between(before, after) == {
        "wal_bytes": 32,
        "writing_commits": 10,
        "commits": 0.0,
    }
    assert bytes_at("2/A") == 2 * 2**32 + 10


_LOG = """\
#statement api|11|0|LOG:  duration: 0.010 ms  statement: BEGIN
#statement api|11|0|LOG:  duration: 0.100 ms  parse _pg3_1: INSERT INTO "payments_event"
#statement api|11|70|LOG:  duration: 0.500 ms  execute _pg3_1: INSERT INTO "payments_event"
\t(id) VALUES ($1)
#statement consumers|12|0|LOG:  duration: 0.200 ms  execute <unnamed>: SELECT 1 FROM payments_event
#statement api|11|0|LOG:  duration: 9.000 ms  statement: COMMIT
#statement relay-1|13|71|LOG:  duration: 0.300 ms  execute s: UPDATE payments_delivery SET a = $1
another line
#statement worker|14|0|LOG:  duration: 0.100 ms  statement: BEGIN
#statement worker|14|0|LOG:  duration: 0.1 ms  execute s: SELECT 1 FROM t FOR UPDATE SKIP LOCKED
#statement worker|14|0|LOG:  duration: 0.100 ms  statement: COMMIT
"""


def test_statements_and_commits_are_counted_by_process() -> None:
    found = counting.read_log(_LOG.splitlines(keepends=True))
    assert {name: (each.transactions, each.writing_commits) for name, each in found.items()} == {
        "api": (1, 1),
        "consumers": (1, 0),
        "relay-1": (1, 1),
        "worker": (1, 0),
    }
    assert +found["api"].statements == {"write payments_event": 1}
    assert found["api"].parsed == {"write payments_event": 1}
    assert found["api"].milliseconds["write payments_event"] == pytest.approx(0.6)
    assert found["api"].transaction_ids == {70}
    assert +found["worker"].statements == {"read t for update": 1}


_WAL = """\
rmgr: Heap        len (rec/tot):    100/   100, tx:         70, lsn: 0/1, prev 0/0, desc: INSERT \
off: 1, blkref #0: rel 1663/5/20 blk 0
rmgr: Btree       len (rec/tot):     64/  8064, tx:         70, lsn: 0/2, prev 0/1, desc: \
INSERT_LEAF off: 2, blkref #0: rel 1663/5/21 blk 1 FPW
rmgr: Transaction len (rec/tot):     34/    34, tx:         71, lsn: 0/3, prev 0/2, desc: COMMIT now
rmgr: Standby     len (rec/tot):     50/    50, tx:          0, lsn: 0/4, prev 0/3, desc: \
RUNNING_XACTS nextXid 72
"""


def test_the_wal_is_summed_up_by_process_and_by_relation() -> None:
    written = counting.read_wal(
        _WAL.splitlines(), relations={20: "event", 21: "event_pkey"}, processes={70: "api"}
    )
    assert written.record_bytes == {"api": 164, "no transaction": 84}
    assert written.image_bytes == 8000
    assert written.by_relation["event"] == 100
    assert written.index_entries == {"event_pkey": 1}
    assert written.heap_records == {"event INSERT": 1}
    counted = counts_per_payment(
        counting.read_log(_LOG.splitlines(keepends=True)), written, payments=2
    )
    assert counted["statements"] == 2.0
    assert counted["by_process"]["api"]["wal_record_bytes"] == 82


def test_the_images_of_pages_are_the_third_size_in_the_last_line_of_the_statistics() -> None:
    line = "Total       310          19930 [70.90%]       8180 [29.10%]      28110 [100%]"
    assert counting.images_of_total(line) == 8180


def test_a_rate_is_sustained_up_to_the_first_step_that_fell_behind() -> None:
    fine, behind = {"behind": []}, {"behind": ["p95 301 ms"]}
    steps = [{"rate": 20, **fine}, {"rate": 40, **behind}, {"rate": 60, **fine}]
    assert sustained(steps) == 20
    assert sustained(steps[1:]) == 0


def _why(**changed: object) -> list[str]:
    given: dict[str, object] = {
        "window": Window(40, 90, 299.9, 400),
        "delivery_lag_p95": 1.9,
        "stream_lag_p95": 1.9,
        "growing": [],
        "failed": 0,
        "settled": True,
    }
    return why_behind(**{**given, **changed})  # type: ignore[arg-type]


def test_each_limit_alone_makes_a_step_fall_behind() -> None:
    assert _why() == []
    assert _why(window=Window(40, 90, 300, 400)) == ["p95 300 ms"]
    assert _why(stream_lag_p95=2.0) == ["lag p95 of stream 2.0 s"]
    assert _why(growing=["deliveries"]) == ["deliveries grow"]
    assert _why(failed=1) == ["1 not answered with 200"]
    assert _why(settled=False) == ["not settled after 20 s"]


def test_percentiles_are_taken_by_the_second_in_which_a_request_was_due() -> None:
    assert p95_by_second([0.1, 0.9, 2.5, 0.2], [10, 30, 50, 20]) == [30, 0, 50]


def _figures() -> dict[str, object]:
    step = {
        "name": "40/s, one endpoint",
        "rate": 40.0,
        "payments": 400,
        "window": {"per_second": 40.0, "p50_ms": 90.0, "p95_ms": 200.0, "p99_ms": 250.0},
        "p95_ms_by_second": [200.0],
        "behind": [],
        "lag_seconds": {"delivery": {"p95": 0.5}, "stream": {"count": 0}},
        "backlog": {"deliveries": 3},
        "processor_ms": {"api": {"own": 6.0, "in_postgresql": 4.0}},
        "per_payment": dict.fromkeys(
            (
                *("wal_bytes", "writing_commits", "wal_fsyncs", "wal_fsync_ms", "wal_writes"),
                *("wal_buffers_full", "table_writes", "table_extends", "table_reads"),
            ),
            10.0,
        ),
        "pool": {"in_use_mean": 1, "waiting_mean": 0, "waiting_most": 0},
        "granian": {"requests": [5.0, 7.0], "interpreter_wait_us": [1.0], "busy_us": [2.0]},
    }
    return {
        "bare_view": {"sustained_per_second": 200},
        "idle_ms_per_second": {"api": 1.0},
        "steps": [step],
        "variants": [{**step, "name": "40/s, no endpoint"}],
        "sustained_per_second": 40.0,
    }


def test_the_table_names_every_step_and_the_headline_is_judged() -> None:
    shown = "\n".join(lines_of(_figures()))
    assert "40/s, one endpoint" in shown
    assert "40/s, no endpoint" in shown
    missed = [verdict.what for verdict in verdicts_of(_figures()) if not verdict.reached]
    assert missed == ["payments/s sustained with everything running"]


def test_the_lag_of_the_stream_ends_with_the_first_position_behind_an_event() -> None:
    created = {11: 100.0, 12: 100.5, 13: 101.0}
    moved = [
        Position("fraud", 10, 99.0),
        Position("support", 11, 100.2),
        Position("fraud", 12, 100.7),
        Position("support", 11, 100.2),
        Position("fraud", 12, 100.7),
        Position("support", 13, 101.5),
    ]
    assert lags_of(created, moved) == pytest.approx([0.7, 0.2, 1.0, 0.5])
