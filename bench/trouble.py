"""What customers wait while a PSP is in trouble: it hangs, or its circuit breaker is open.

A server, workers and beat of their own, so that the other figures are taken without them. What may
not live here: judging.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from typing import Any, Final

import psycopg

from bench.figures import window_of
from bench.load import Specification, new_run
from bench.rounds import PATH, generate
from bench.stage import Stage
from paymentsite.launcher import platform_processes
from paymentsite.launcher.ports import HOST, hold_any_port, release_port
from paymentsite.launcher.progress import LauncherError

CHECKOUTS: Final = 200
ARRIVING_PER_SECOND: Final = 100.0
BUDGET_SECONDS: Final = 0.25
_SETTLED_WITHIN_SECONDS: Final = 120.0
_BREAKER_LOAD_PER_SECOND: Final = 50.0
_BREAKER_LOAD_SECONDS: Final = 4.0
_OPENING_CALLS: Final = 120
"""Enough for every process of the server to see its own twenty failures."""


def hanging(stage: Stage) -> dict[str, Any]:
    """200 checkouts while the PSP takes every charge and answers none; then it is well again."""
    with _server(stage, {"PSP_BREAKERS": "off"}, jobs=True) as port:
        _load(stage, port, per_second=50, seconds=3)
        run = f"hang-{new_run()}"
        stage.set_psp_behavior(hang=1.0, hang_seconds=60.0)
        try:
            seen = _load(
                stage,
                port,
                run=run,
                per_second=ARRIVING_PER_SECOND,
                seconds=CHECKOUTS / ARRIVING_PER_SECOND,
                wait_seconds=BUDGET_SECONDS,
            )
            statuses = _intent_statuses(stage, run)
        finally:
            stage.set_psp_behavior()
        faults_ended = time.monotonic()
        _wait(lambda: _succeeded_with_event(stage, run) >= CHECKOUTS)
        settled_seconds = time.monotonic() - faults_ended
    return {
        "checkouts": len(seen["latencies_ms"]),
        "window": asdict(window_of(seen["latencies_ms"], seen["seconds"])),
        "failed": sum(count for status, count in seen["statuses"].items() if status != "200"),
        "processing_at_the_end": statuses.get("PROCESSING", 0),
        "lost": CHECKOUTS - _succeeded_with_event(stage, run),
        "settled_seconds": settled_seconds,
    }


def open_breaker(stage: Stage) -> dict[str, Any]:
    """What a request waits for its 503 once the PSP has failed too often."""
    with _server(stage, {}, jobs=False) as port:
        _load(stage, port, per_second=50, seconds=2)
        stage.set_psp_behavior(error_before=1.0)
        try:
            _load(stage, port, per_second=60, seconds=_OPENING_CALLS / 60)
            seen = _load(
                stage, port, per_second=_BREAKER_LOAD_PER_SECOND, seconds=_BREAKER_LOAD_SECONDS
            )
        finally:
            stage.set_psp_behavior()
    return {
        "statuses": seen["statuses"],
        "window": asdict(window_of(seen["latencies_ms"], seen["seconds"])),
    }


@contextmanager
def _server(stage: Stage, settings: dict[str, str], *, jobs: bool) -> Iterator[int]:
    """One more API server of the platform, with its jobs if wanted; its port."""
    port = hold_any_port()
    variables = {**stage.variables, **settings}
    folder = stage.folder / f"trouble-{port}"
    processes = [platform_processes.api(folder, variables, port=port)]
    if jobs:
        processes += platform_processes.workers(folder, variables)
        processes.append(platform_processes.beat(folder, variables))
    with ExitStack() as stack:
        stack.callback(release_port, port)
        for process in (replace(each, relay=False) for each in processes):
            stack.callback(process.stop)
            process.start()
        yield port


def _load(
    stage: Stage,
    port: int,
    *,
    per_second: float,
    seconds: float,
    run: str = "",
    wait_seconds: float | None = None,
) -> dict[str, Any]:
    return generate(
        Specification(
            host=HOST,
            port=port,
            path=PATH,
            secret_key=stage.platform.secret_key,
            run=run or new_run(),
            connections=CHECKOUTS,
            seconds=seconds,
            rate=per_second,
            wait_seconds=wait_seconds,
        )
    )


def _intent_statuses(stage: Stage, run: str) -> dict[str, int]:
    """How many intents of a run have each status."""
    return dict(
        _rows(
            stage,
            "SELECT status, count(*) FROM payments_payment_intent WHERE order_id LIKE %s "
            "GROUP BY status",
            f"order-{run}-%",
        )
    )


def _succeeded_with_event(stage: Stage, run: str) -> int:
    """How many payments of a run are captured and have their event."""
    rows = _rows(
        stage,
        "SELECT count(*) FROM payments_payment_intent i JOIN payments_event e "
        "ON e.aggregateid = i.id AND e.type = 'payment_intent.succeeded' "
        "WHERE i.order_id LIKE %s AND i.status = 'CAPTURED'",
        f"order-{run}-%",
    )
    return int(rows[0][0])


def _rows(stage: Stage, query: str, value: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(stage.variables["DATABASE_URL"]) as connection:
        return connection.execute(query.encode(), [value]).fetchall()


def _wait(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + _SETTLED_WITHIN_SECONDS
    while not condition():
        if time.monotonic() > end:
            raise LauncherError(
                f"not settled {_SETTLED_WITHIN_SECONDS:.0f} s after the PSP's faults ended"
            )
        time.sleep(0.2)
