"""The relay's bulkheads, second by second: hanging endpoints cannot delay responsive ones."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from payments import public_ids
from payments.models import WebhookEndpoint
from payments.services.merchant_webhooks.endpoint_bulkheads import (
    PAUSES_SECONDS,
    EndpointBulkheads,
    Key,
    shared_fairly,
)

THREADS = 4
TIMEOUT_SECONDS = 15.0


class World:
    """Bulkheads with a clock of their own, and endpoints that always have something due."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.bulkheads = EndpointBulkheads(THREADS, clock=lambda: self.now)
        self.under_way: dict[Key, tuple[WebhookEndpoint, float]] = {}
        self.begun: dict[uuid.UUID, list[float]] = {}

    def begin_due(self, due: Sequence[WebhookEndpoint]) -> None:
        """What a relay begins in one round."""
        self.bulkheads.move_slow_attempts()
        of_id = {each.id: each for each in due}
        for bulkhead in self.bulkheads.all:
            for endpoint_id, count in self.bulkheads.take_permits(bulkhead, due).items():
                for _ in range(count):
                    key = (public_ids.new_id(), 1)
                    self.bulkheads.begin(key, endpoint_id, bulkhead)
                    self.under_way[key] = (of_id[endpoint_id], self.now)
                    self.begun.setdefault(endpoint_id, []).append(self.now)

    def end(self, endpoint: WebhookEndpoint, *, answered: bool = True) -> int:
        """Every attempt to this endpoint ends now; returns how many there were."""
        own = [key for key, (whose, _) in self.under_way.items() if whose is endpoint]
        for key in own:
            took = self.now - self.under_way.pop(key)[1]
            self.bulkheads.end(key, took_seconds=took, answered=answered)
        return len(own)

    def pass_time(
        self,
        seconds: float,
        due: Sequence[WebhookEndpoint],
        *,
        answer_after: dict[uuid.UUID, float],
    ) -> None:
        """Endpoints that are not in `answer_after` hang until the timeout."""
        end = self.now + seconds
        while self.now < end:
            self.begin_due(due)
            self.now += 0.1
            for key, (endpoint, began) in list(self.under_way.items()):
                after = answer_after.get(endpoint.id, TIMEOUT_SECONDS)
                if self.now - began >= after:
                    del self.under_way[key]
                    answered = endpoint.id in answer_after
                    self.bulkheads.end(key, took_seconds=self.now - began, answered=answered)


@pytest.fixture
def world() -> World:
    return World()


def endpoint(*, failing: bool = False) -> WebhookEndpoint:
    since = datetime.now(UTC) if failing else None
    return WebhookEndpoint(id=public_ids.new_id(), failing_since=since)


def test_a_hanging_endpoint_is_probed_once_after_each_pause_until_it_answers(world: World) -> None:
    one = endpoint()
    for pause in (*PAUSES_SECONDS, PAUSES_SECONDS[-1]):
        world.begin_due([one])
        world.now += TIMEOUT_SECONDS
        assert world.end(one, answered=False) > 0
        world.now += pause - 0.1
        world.begin_due([one])
        assert world.under_way == {}
        world.now += 0.2
    world.begin_due([one])
    assert len(world.under_way) == 1, "one attempt probes it"
    world.now += 0.1
    world.end(one)
    world.begin_due([one])
    assert len(world.under_way) == THREADS // 2, "it is fast again"


def test_a_timeout_beside_answers_is_no_reason_for_a_pause(world: World) -> None:
    one = endpoint()
    world.begin_due([one])
    [first, *others] = list(world.under_way)
    world.now += 0.1
    for key in others:
        del world.under_way[key]
        world.bulkheads.end(key, took_seconds=0.1, answered=True)
    world.now += TIMEOUT_SECONDS
    world.bulkheads.end(first, took_seconds=TIMEOUT_SECONDS + 0.1, answered=False)
    del world.under_way[first]
    world.begin_due([one])
    assert len(world.under_way) == 1


def test_concurrent_timeouts_count_once(world: World) -> None:
    one = endpoint()
    world.begin_due([one])
    assert len(world.under_way) == 2
    world.now += TIMEOUT_SECONDS
    world.end(one, answered=False)
    world.now += PAUSES_SECONDS[0] + 0.1
    world.begin_due([one])
    assert len(world.under_way) == 1


def test_a_connection_refused_at_once_takes_no_permit_and_causes_no_pause(world: World) -> None:
    one = endpoint()
    world.begin_due([one])
    world.now += 0.1
    world.end(one, answered=False)
    world.begin_due([one])
    assert len(world.under_way) == THREADS // 2


def test_two_hundred_hanging_endpoints_delay_others_only_briefly(world: World) -> None:
    """They begin to hang all at once, unannounced. A slow one goes on, and so does a fast one."""
    hanging = [endpoint() for _ in range(200)]
    slow, fast = endpoint(), endpoint()
    answers = {slow.id: 1.2, fast.id: 0.1}
    due = [*hanging, slow, fast]
    for second in range(180):
        start = second % len(due)
        world.pass_time(1, due[start:] + due[:start], answer_after=answers)
        assert len(world.bulkheads) <= world.bulkheads.threads_max
    for good, most_apart in ((slow, 10.0), (fast, 5.0)):
        begun = world.begun[good.id]
        later = [moment for moment in begun if moment > 1_000 + 60]
        assert max(b - a for a, b in pairwise(later)) < most_apart
    late = [each for each in world.begun[fast.id] if each > 1_000 + 120]
    assert len(late) > 60 * 5, "the threads of the fast bulkhead are reserved"


def test_a_new_relay_probes_endpoints_that_were_failing_with_one_attempt_each(world: World) -> None:
    failing = [endpoint(failing=True) for _ in range(50)]
    healthy = endpoint()
    world.begin_due([*failing, healthy])
    assert len(world.begun[healthy.id]) == THREADS // 2
    assert all(len(world.begun.get(each.id, [])) <= 1 for each in failing)
    assert len(world.under_way) == THREADS // 2 + 2 * THREADS


def test_one_permit_is_taken_given_back_and_refused(world: World) -> None:
    busy, hanging = endpoint(), endpoint(failing=True)
    taken = [world.bulkheads.take_permit(busy) for _ in range(THREADS)]
    half = [world.bulkheads.fast] * (THREADS // 2)
    assert taken == [*half, None, None], "half of the threads for one endpoint"
    world.bulkheads.give_back(world.bulkheads.fast, {busy.id: 1})
    assert world.bulkheads.take_permit(busy) is world.bulkheads.fast
    assert world.bulkheads.take_permit(hanging) is world.bulkheads.unresponsive
    key = (public_ids.new_id(), 1)
    world.bulkheads.begin(key, hanging.id, world.bulkheads.unresponsive)
    world.bulkheads.end(key, took_seconds=TIMEOUT_SECONDS, answered=False)
    assert world.bulkheads.take_permit(hanging) is None, "it is paused"


def test_free_permits_are_shared_round_robin() -> None:
    one, two, three = (uuid.UUID(int=number) for number in range(3))
    room = {one: 4, two: 4, three: 0}
    assert shared_fairly(10, room, room.__getitem__) == {one: 4, two: 4}
    assert shared_fairly(3, room, room.__getitem__) == {one: 2, two: 1}
    assert shared_fairly(0, room, room.__getitem__) == {}
