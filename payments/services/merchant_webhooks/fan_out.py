"""Fan-out: which endpoints get an event, written down as deliveries.

Several may run at once: whoever locks the oldest event of an aggregate has all of that aggregate's.
It never waits for a row of the outgoing queue (SKIP LOCKED), since whoever numbers the internal
stream locks the same rows in another order. Lock order: dispatch rows, lines. What may not live
here: sending.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from django.db import transaction

from ledger.database.statements import execute, table_of
from payments import public_ids
from payments.event_types import wanted
from payments.models import Delivery, Dispatch, Event, WebhookEndpoint
from payments.services.merchant_webhooks.delivery_order import lines_with_waiting, lock_lines_of
from payments.services.merchant_webhooks.envelopes import Envelopes
from payments.states import EndpointStatus

AGGREGATES_PER_BATCH: Final = 100
EVENTS_PER_BATCH: Final = 200
_ROWS_PER_STATEMENT: Final = 1_000
"""With fifty endpoints a batch is 10,000 rows, too much for one statement's time limit."""

Book = dict[tuple[UUID, bool], list[WebhookEndpoint]]
"""Enabled endpoints by merchant and mode."""

_INSERT: Final = (
    "INSERT INTO {table} (id, event_id, endpoint_id, merchant_id, livemode, aggregateid, seq, "
    "is_replay, envelope, created_at, status, in_line, next_try_at, attempts, tries, last_error) "
    "SELECT id, event_id, endpoint_id, merchant_id, livemode, aggregateid, seq, false, envelope, "
    "now(), 'pending', true, CASE WHEN is_head THEN now() END, 0, 0, '' "
    "FROM unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::uuid[], %s::bool[], %s::uuid[], "
    "%s::int[], %s::bytea[], %s::bool[]) AS made(id, event_id, endpoint_id, merchant_id, "
    "livemode, aggregateid, seq, envelope, is_head)"
)


def fan_out_due() -> int:
    """Write down the deliveries of the oldest events that have none yet; how many events it took.

    One bounded batch in one transaction; safe to run again and several at once. The deliveries of
    an aggregate are written in the order of its events.
    """
    with transaction.atomic(durable=True):
        event_ids = _claim()
        if event_ids:
            _write_down(_events(event_ids))
            _mark(event_ids)
    return len(event_ids)


def _claim() -> list[UUID]:
    """Events of aggregates that are now ours alone, each aggregate's from its first on.

    As far as nobody else holds one: what comes after that one is left for the next time.
    """
    dispatch = table_of(Dispatch)
    heads = execute(
        f"SELECT d.aggregateid, d.seq FROM {dispatch} d WHERE d.fanned_out_at IS NULL "
        f"AND NOT EXISTS (SELECT FROM {dispatch} p WHERE p.aggregateid = d.aggregateid "
        "AND p.seq < d.seq AND p.fanned_out_at IS NULL) "
        "ORDER BY d.event_id LIMIT %s FOR UPDATE SKIP LOCKED",
        [AGGREGATES_PER_BATCH],
    )
    if not heads:
        return []
    following = dict(heads)
    rows = execute(
        f"SELECT event_id, aggregateid, seq FROM {dispatch} "
        "WHERE aggregateid = ANY(%s) AND fanned_out_at IS NULL "
        "ORDER BY aggregateid, seq LIMIT %s FOR UPDATE SKIP LOCKED",
        [list(following), EVENTS_PER_BATCH],
    )
    claimed = []
    for event_id, aggregate, seq in rows:
        if seq == following[aggregate]:
            following[aggregate] = seq + 1
            claimed.append(event_id)
    return claimed


def _events(event_ids: Sequence[UUID]) -> list[Event]:
    found = Event.objects.in_bulk(list(event_ids))
    return [found[event_id] for event_id in event_ids]


def _write_down(events: Sequence[Event]) -> None:
    book = _book(events)
    addressed = [
        (event, endpoints)
        for event in events
        if (endpoints := _endpoints_for(event, book.get((event.merchant_id, event.livemode), [])))
    ]
    if not addressed:
        return
    aggregates = {event.aggregateid for event, _ in addressed}
    lock_lines_of(aggregates)
    waiting = lines_with_waiting(aggregates)
    envelopes = Envelopes()
    rows: list[tuple[Any, ...]] = []
    for event, endpoints in addressed:
        for endpoint in endpoints:
            line = (event.aggregateid, endpoint.id)
            envelope = envelopes.envelope(
                event, api_version=endpoint.api_version, pending_webhooks=len(endpoints)
            )
            rows.append(_row(event, endpoint, envelope, is_head=line not in waiting))
            waiting.add(line)
    for start in range(0, len(rows), _ROWS_PER_STATEMENT):
        columns = zip(*rows[start : start + _ROWS_PER_STATEMENT], strict=True)
        execute(_INSERT.format(table=table_of(Delivery)), [list(each) for each in columns])


def _row(
    event: Event, endpoint: WebhookEndpoint, envelope: bytes, *, is_head: bool
) -> tuple[Any, ...]:
    return (
        public_ids.new_id(),
        event.id,
        endpoint.id,
        event.merchant_id,
        event.livemode,
        event.aggregateid,
        event.seq,
        envelope,
        is_head,
    )


def _book(events: Sequence[Event]) -> Book:
    merchants = {event.merchant_id for event in events}
    enabled = WebhookEndpoint.objects.filter(
        merchant_id__in=merchants, status=EndpointStatus.ENABLED
    ).defer("sealed_secret", "sealed_previous_secret")
    book: Book = defaultdict(list)
    for endpoint in enabled.order_by("id"):
        book[endpoint.merchant_id, endpoint.livemode].append(endpoint)
    return book


def _endpoints_for(event: Event, endpoints: Sequence[WebhookEndpoint]) -> list[WebhookEndpoint]:
    return [each for each in endpoints if wanted(event.type, each.enabled_events)]


def _mark(event_ids: Sequence[UUID]) -> None:
    """The row of an event goes when nothing else needs it: with the later of the two marks."""
    dispatch, ids = table_of(Dispatch), list(event_ids)
    execute(f"DELETE FROM {dispatch} WHERE event_id = ANY(%s) AND streamed_at IS NOT NULL", [ids])
    execute(f"UPDATE {dispatch} SET fanned_out_at = now() WHERE event_id = ANY(%s)", [ids])
