"""The relay's bench: its verdict notices each fault, and a small run holds."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import pytest

from bench.webhooks.event_writer import EVENTS_PER_PAYMENT, plan
from bench.webhooks.run import Options, run
from bench.webhooks.verdict import Arrival, Rest, arrivals_of, judge, judge_rest
from payments import public_ids

EVENTS = [public_ids.encode(public_ids.EVENT, public_ids.new_id()) for _ in range(3)]


def arrival(number: int, *, path: str = "/ok/0", body: str = "b", later: float = 0.1) -> Arrival:
    identifier = public_ids.decode(public_ids.EVENT, EVENTS[number - 1])
    assert identifier is not None
    at = public_ids.created_ms_of(identifier) / 1000 + later
    return Arrival(path, EVENTS[number - 1], "a", number, at, body)


def judged(*arrivals: Arrival) -> tuple[int, int, int, int]:
    verdict = judge(arrivals, healthy_paths=["/ok/0"], events_by_payment={"a": 3})
    return verdict.lost, verdict.out_of_order, verdict.repeated, verdict.changed


def test_complete_and_ordered_deliveries_pass() -> None:
    whole = [arrival(number) for number in (1, 2, 3)]
    assert judged(*whole) == (0, 0, 0, 0)
    assert judged(*whole, arrival(1)) == (0, 0, 1, 0)
    verdict = judge(whole, healthy_paths=["/ok/0"], events_by_payment={"a": 3})
    assert verdict.holds
    assert verdict.lag_p95_seconds == pytest.approx(0.1, abs=0.01)


def test_lost_late_reordered_or_changed_deliveries_fail() -> None:
    assert judged(arrival(1), arrival(2)) == (1, 0, 0, 0)
    assert judged(arrival(1), arrival(3), arrival(2)) == (0, 2, 0, 0)
    assert judged(arrival(1), arrival(3)) == (1, 1, 0, 0)
    assert judged(*(arrival(n) for n in (1, 2, 3)), arrival(2, body="x")) == (0, 0, 1, 1)
    assert judged(*(arrival(n, path="/hang/0") for n in (1, 2, 3))) == (3, 0, 0, 0)
    late = [arrival(number, later=3) for number in (1, 2, 3)]
    assert not judge(late, healthy_paths=["/ok/0"], events_by_payment={"a": 3}).holds


def rest(*arrivals: Arrival, kept: int = 6) -> Rest:
    return judge_rest(
        arrivals, healthy_paths=["/ok/0"], dead_endpoints=2, events_by_payment={"a": 3}, kept=kept
    )


def test_deliveries_to_dead_endpoints_are_kept_and_only_first_ones_attempted() -> None:
    healthy = [arrival(number) for number in (1, 2, 3)]
    first = arrival(1, path="/fail/0")
    good = rest(*healthy, first, first, arrival(1, path="/hang/0"))
    assert (good.holds, good.expected, good.attempted) == (True, 6, 2)
    assert not rest(*healthy, first, kept=5).holds, "one is gone"
    assert not rest(*healthy, first, kept=7).holds, "one is there twice"
    assert not rest(*healthy, first, arrival(2, path="/fail/0")).holds, "too early"


def test_a_half_written_line_is_not_read() -> None:
    line = '["/ok/0", "e", "a", 1, 2.0, "b"]'
    assert len(arrivals_of([line + "\n", line])) == 1


def test_events_of_a_payment_are_written_in_order_between_those_of_others() -> None:
    planned = plan(events=100, events_per_second=50)
    assert len(planned) == 100
    assert planned[-1].at_seconds == pytest.approx(2, abs=0.6)
    for aggregate in {due.aggregate for due in planned}:
        seqs = [due.seq for due in planned if due.aggregate == aggregate]
        assert seqs == list(range(1, EVENTS_PER_PAYMENT + 1))
    assert any(a.aggregate != b.aggregate for a, b in pairwise(planned))


@pytest.mark.matrix(most=0)
def test_a_small_run_loses_nothing_and_keeps_every_payments_order(
    database: None, tmp_path: Path
) -> None:
    """With a relay killed; the lag is judged by the large run, on a machine that is not shared.

    Only `make matrix` plays it: `test_relay.py` kills relays in a process less.
    """
    kills, events = 2, 80
    names = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "PAYMENTS_ENVIRONMENT")
    figures = run(
        {name: os.environ[name] for name in names if name in os.environ},
        tmp_path,
        Options(
            deliveries=5 * events,
            endpoints=5,
            relays=2,
            kills=kills,
            deliveries_per_second=80,
            timeout_seconds=1,
            wait_seconds=60,
        ),
    )
    verdict = figures["verdict"]
    assert (figures["killed"], verdict["expected"]) == (kills, 2 * events)
    assert (verdict["lost"], verdict["out_of_order"], verdict["changed"]) == (0, 0, 0)
    rest = figures["rest"]
    assert (rest["expected"], rest["kept"], rest["too_early"]) == (3 * events, 3 * events, 0)
    assert rest["attempted"] > 0
