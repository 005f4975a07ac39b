"""What one card payment costs PostgreSQL, in the API and in every process behind it.

Nothing here is timed: statements, commits and index entries are counted. A ceiling
only falls. A change that makes a payment cheaper lowers it to what is counted then.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.db import connections
from django.db.backends.signals import connection_created

from payments.models import Delivery, PspNotification
from payments.services.event_stream.consumer import Consumer
from payments.services.event_stream.effects import EFFECTS, EFFECTS_OF_MANY
from payments.services.psp_notifications import processing
from payments.states import NotificationStatus
from payments.tests.event_stream.stage import GROUPS, Stage, open_stage
from payments.tests.scenarios.test_locks import connections_held
from payments.tests.support.api_client import api_of
from payments.tests.support.listening import MerchantServer, deliver_all, open_endpoint
from payments.tests.support.notices import Hooks
from payments.tests.support.shop import Shop, body_of

STATEMENTS_MAX = 10
WRITING_COMMITS = 2

PAYMENTS = 4
"""Processed together, as they come together: what works in batches is seen to."""
EVENTS = 3
"""Of one payment."""
NOTIFICATIONS = 2
ROUNDS_MAX = 5
"""Transactions are counted of the whole server, and platforms of other tests may write meanwhile: a
round that they disturbed is repeated, and the smallest count of each part is judged."""
STATEMENTS_OF_CACHES = 4
"""Of all payments: caches run out by time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Of one payment, on average."""

    statements: float
    commits: float
    """Of transactions that wrote."""
    index_entries: float
    """Rows written, times the indexes of their table: at most so many. An update that finds room in
    its page writes none, which depends on what was there before. The indexes of notifications that
    state results are left out: the sandbox PSP sends none. So are block indexes, which get no entry
    for a row."""

    def at_most(self, other: Cost) -> Cost:
        """The smaller figure of both, of each kind."""
        figures = {each.name for each in fields(Cost)}
        return Cost(**{each: min(getattr(self, each), getattr(other, each)) for each in figures})


CEILINGS = {
    "API": Cost(statements=6, commits=2, index_entries=102),
    "notifications received": Cost(statements=2, commits=2, index_entries=8),
    "notifications processed": Cost(statements=0.75, commits=0.25, index_entries=8),
    "relay": Cost(statements=3.75, commits=0.5, index_entries=36),
    "publisher": Cost(statements=0.75, commits=0.25, index_entries=6),
    "consumers": Cost(statements=1, commits=0.75, index_entries=2),
}


@contextmanager
def all_statements() -> Iterator[list[str]]:
    """Every statement of every connection opened meanwhile, in whatever thread."""
    seen: list[str] = []

    def watch(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        seen.append(sql)
        return execute(sql, params, many, context)

    def on_created(connection: Any, **_: Any) -> None:
        if watch not in connection.execute_wrappers:
            connection.execute_wrappers.append(watch)

    connections.close_all()
    connection_created.connect(on_created)
    try:
        yield seen
    finally:
        connection_created.disconnect(on_created)
        connections["default"].execute_wrappers.clear()


@dataclass
class Meter:
    """Counts what each part of the platform does, once all connections of the test are closed."""

    owner: psycopg.Cursor[Any]
    costs: dict[str, Cost] = field(default_factory=dict)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count what is done in this block as a part's work on all payments."""
        before = self._counters()
        with all_statements() as seen:
            yield
        after = self._counters()
        # Reading the counter takes a transaction id of its own.
        commits, index_entries = (b - a for a, b in zip(before, after, strict=True))
        cost = Cost(
            statements=len(seen) / PAYMENTS,
            commits=(commits - 1) / PAYMENTS,
            index_entries=index_entries / PAYMENTS,
        )
        self.costs[name] = cost.at_most(self.costs.get(name, cost))

    def _counters(self) -> tuple[int, int]:
        connections.close_all()
        # A session adds what it did to the statistics when it ends, at the latest.
        assert connections_held(self.owner) == 0
        row = self.owner.execute(
            "SELECT pg_current_xact_id()::text::bigint, "
            "(SELECT sum((n_tup_ins + n_tup_upd) * "
            "(SELECT count(*) FROM pg_index JOIN pg_class c ON c.oid = indexrelid "
            "JOIN pg_am m ON m.oid = c.relam AND m.amname <> 'brin' WHERE indrelid = relid "
            "AND coalesce(pg_get_expr(indpred, indrelid), '') NOT LIKE '%states_result%')) "
            "FROM pg_stat_user_tables)"
        ).fetchone()
        assert row is not None
        return int(row[0]), int(row[1])


def commits_of(cursor: psycopg.Cursor[Any]) -> int:
    """Transactions that wrote: each takes one transaction id."""
    row = cursor.execute("SELECT pg_current_xact_id()::text::bigint").fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.alone
def test_a_sale_takes_few_statements_and_two_writing_commits(
    shop: Shop, owner_cursor: psycopg.Cursor[Any]
) -> None:
    shop.create(order_id="warm-up", caller=shop.caller(key="warm-up"))
    commits = []
    while WRITING_COMMITS not in commits and len(commits) < ROUNDS_MAX:
        order = f"order {len(commits)}"
        before = commits_of(owner_cursor)
        with all_statements() as seen:
            answer = shop.create(order_id=order, caller=shop.caller(key=order))
        # Reading the counter takes a transaction id each time.
        commits.append(commits_of(owner_cursor) - before - 1)
        assert body_of(answer)["status"] == "succeeded"
        assert len(seen) <= STATEMENTS_MAX, "\n\n".join(seen)
    assert min(commits) == WRITING_COMMITS


def test_the_number_of_statements_does_not_grow_with_data(shop: Shop) -> None:
    counts = []
    for number in range(6):
        with all_statements() as seen:
            shop.create(order_id=f"order {number}", caller=shop.caller(key=f"key {number}"))
        counts.append(len(seen))
    # What a process remembers of accounts and rules it reads anew every few seconds.
    assert counts.count(min(counts)) >= 4, counts
    assert counts[-1] <= counts[1], counts


@pytest.mark.alone
@pytest.mark.usefixtures("really_closed")
def test_a_payment_costs_no_more_than_its_ceilings_in_any_process(
    hooks: Hooks, server: MerchantServer, owner_cursor: psycopg.Cursor[Any], tmp_path: Path
) -> None:
    open_endpoint(hooks.shop.merchant, server.url)
    with open_stage(tmp_path) as stage:
        # The first payment makes accounts, caches and the stream; it does not count.
        _pay_and_work_off(hooks, stage, Meter(owner_cursor), payments=1)
        meter, paid = Meter(owner_cursor), 1
        while paid == 1 or (_all_above(meter) and paid < ROUNDS_MAX * PAYMENTS):
            _pay_and_work_off(hooks, stage, meter, payments=PAYMENTS)
            paid += PAYMENTS
        assert stage.consumed_to() == dict.fromkeys(GROUPS, paid * EVENTS)
    assert len(server.requests) == Delivery.objects.count() == paid * EVENTS
    processed = PspNotification.objects.filter(status=NotificationStatus.PROCESSED)
    assert processed.count() == paid * NOTIFICATIONS
    assert list(meter.costs) == list(CEILINGS)
    assert _all_above(meter) == []


def _pay_and_work_off(hooks: Hooks, stage: Stage, meter: Meter, *, payments: int) -> None:
    api, publisher = api_of(hooks.shop), stage.publisher()
    consumers = [
        Consumer(
            stream=stage.stream,
            group=group,
            name="one",
            effect=EFFECTS[group],
            effect_of_many=EFFECTS_OF_MANY.get(group),
            wait_ms=1,
        )
        for group in GROUPS
    ]
    hooks.receiver.deliveries.clear()
    with meter.part("API"):
        for _ in range(payments):
            api.pay(metadata={"order_id": uuid4().hex})
    hooks.receiver.wait_until(lambda caught: len(caught) == payments * NOTIFICATIONS)
    with meter.part("notifications received"):
        for notice in hooks.receiver.deliveries:
            assert hooks.deliver(notice).status_code == 200
    with meter.part("notifications processed"):
        processing.process_due_notifications()
    with meter.part("relay"):
        deliver_all()
    with meter.part("publisher"):
        while publisher.publish():
            continue
    with meter.part("consumers"):
        for consumer in consumers:
            consumer.consume()


def _all_above(meter: Meter) -> list[str]:
    return [line for name, cost in meter.costs.items() for line in _above(name, cost)]


def _above(name: str, cost: Cost) -> list[str]:
    """What of a part costs more than its ceiling, in words."""
    ceiling = CEILINGS[name]
    statements_max = ceiling.statements + STATEMENTS_OF_CACHES / PAYMENTS
    allowed = replace(ceiling, statements=statements_max)
    return [
        f"{name}: {each.name} {getattr(cost, each.name):g}, at most {getattr(ceiling, each.name):g}"
        for each in fields(Cost)
        if getattr(cost, each.name) > getattr(allowed, each.name)
    ]
