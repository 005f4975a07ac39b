"""How tries end: delivered, again later, or given up; the log of them; endpoints that stay dead.

Lock order: lines, deliveries, endpoints. What may not live here: sending.
"""

from __future__ import annotations

import logging
import random
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db import transaction

from ledger.database.statements import Batch, execute, table_of
from payments import metrics, public_ids
from payments.clock import now_utc
from payments.models import Delivery, DeliveryAttempt, WebhookEndpoint
from payments.services.merchant_webhooks import endpoints as service
from payments.services.merchant_webhooks.attempt import Tried
from payments.services.merchant_webhooks.delivery_order import Line, lock_lines_of, move_on
from payments.services.merchant_webhooks.leasing import lease_seconds
from payments.states import DeliveryStatus

logger = logging.getLogger(__name__)

RETRY_SECONDS: Final = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""From one try to the next: ten tries over 75 hours, as Standard Webhooks recommends."""
_JITTER: Final = 0.1
BURIED_PER_BATCH: Final = 500
_NAMED_MOST: Final = 5
"""Deliveries named in one line of the log; `manage.py webhooks status` and the console have all."""
_RESPONSE_LENGTH: Final = 2_000
_SHOWN_BYTES: Final = 4_000
_LONG_NUMBER: Final = re.compile(r"[0-9](?:[ -]?[0-9]){12,18}")
"""What could be a card number is not stored, whoever sent it."""


@dataclass(frozen=True, slots=True)
class _End:
    tried: Tried
    status: DeliveryStatus
    delay_seconds: float | None
    error: str


@dataclass(frozen=True, slots=True)
class _Written:
    """A delivery as it stands after a try."""

    id: UUID
    line: Line
    status: str
    in_line: bool

    @property
    def is_over(self) -> bool:
        return self.status != DeliveryStatus.PENDING


def conclude(tries: Sequence[Tried]) -> None:
    """Write how these tries ended, and let those that waited for them go on.

    A try whose lease has passed to another relay meanwhile is logged and decides nothing. Endpoints
    that answered 410, or have failed for days, are disabled. What is given up is told to whoever is
    on call.
    """
    if not tries:
        return
    ends = [_end_of(tried) for tried in tries]
    with transaction.atomic(durable=True):
        # A crash of the database may forget this: the deliveries are then made once more.
        execute("SELECT set_config('synchronous_commit', 'off', true)")
        lock_lines_of({end.tried.leased.aggregateid for end in ends if end.tried.leased.in_line})
        written = _write(ends)
        move_on({each.line for each in written if each.in_line and each.is_over})
        _note_health(ends)
        Batch().insert(*(_attempt(end) for end in ends)).execute()
    _tell_what_is_given_up(ends, written)
    _disable_the_dead(ends)


def bury_undeliverable(endpoint_id: UUID) -> int:
    """Give up deliveries to an endpoint that is disabled; one bounded batch, how many it buried.

    Those that may be on their way right now are left until their lease ends.
    """
    delivery, endpoint = table_of(Delivery), table_of(WebhookEndpoint)
    with transaction.atomic(durable=True):
        chosen = execute(
            f"SELECT d.id, d.aggregateid FROM {delivery} d "
            f"JOIN {endpoint} e ON e.id = d.endpoint_id "
            "WHERE d.endpoint_id = %s AND e.status = 'disabled' AND d.status = 'pending' "
            "AND (d.next_try_at IS NOT NULL) AND (d.next_try_at <= now() "
            "OR d.next_try_at > now() + make_interval(secs => %s)) ORDER BY d.next_try_at LIMIT %s",
            [endpoint_id, lease_seconds(), BURIED_PER_BATCH],
        )
        if not chosen:
            return 0
        lock_lines_of({row[1] for row in chosen})
        buried = execute(
            f"UPDATE {delivery} SET status = 'dead', next_try_at = NULL, ended_at = now(), "
            "last_error = 'the endpoint is disabled' WHERE id = ANY(%s) AND status = 'pending' "
            "AND next_try_at IS NOT NULL RETURNING aggregateid, in_line",
            [[row[0] for row in chosen]],
        )
        move_on({(aggregate, endpoint_id) for aggregate, in_line in buried if in_line})
    metrics.DELIVERIES_GIVEN_UP.labels(because="disabled").inc(len(buried))
    return len(buried)


def _end_of(tried: Tried) -> _End:
    reply, leased = tried.reply, tried.leased
    if tried.succeeded:
        return _End(tried, DeliveryStatus.DELIVERED, None, "")
    error = reply.error or f"it answered {reply.status}"
    if leased.tries > len(RETRY_SECONDS):
        return _End(tried, DeliveryStatus.DEAD, None, error)
    step = RETRY_SECONDS[leased.tries - 1]
    delay = step * random.uniform(1 - _JITTER, 1 + _JITTER)
    return _End(tried, DeliveryStatus.PENDING, delay, error)


def _write(ends: Sequence[_End]) -> list[_Written]:
    """The deliveries' new state, of those that were still ours."""
    rows = execute(
        f"UPDATE {table_of(Delivery)} d SET status = e.status, last_status = e.http_status, "
        "last_error = e.error, next_try_at = now() + make_interval(secs => e.delay_seconds), "
        "ended_at = CASE WHEN e.status <> 'pending' THEN now() END "
        "FROM unnest(%s::uuid[], %s::int[], %s::text[], %s::float8[], %s::int[], %s::text[]) "
        "AS e(id, attempts, status, delay_seconds, http_status, error) "
        "WHERE d.id = e.id AND d.attempts = e.attempts AND d.status = 'pending' "
        "RETURNING d.id, d.aggregateid, d.endpoint_id, d.status, d.in_line",
        [
            [end.tried.leased.id for end in ends],
            [end.tried.leased.attempts for end in ends],
            [end.status.value for end in ends],
            [end.delay_seconds for end in ends],
            [end.tried.reply.status for end in ends],
            [end.error[:200] for end in ends],
        ],
    )
    return [_Written(row[0], (row[1], row[2]), row[3], row[4]) for row in rows]


def _note_health(ends: Sequence[_End]) -> None:
    """Since when an endpoint fails: written when that changes, which is seldom."""
    well = {end.tried.leased.endpoint.id for end in ends if end.tried.succeeded}
    ill = {
        end.tried.leased.endpoint.id
        for end in ends
        if not end.tried.succeeded and end.tried.leased.endpoint.failing_since is None
    } - well
    table = table_of(WebhookEndpoint)
    if well:
        # Whatever we knew of it: another relay may have seen it fail in between.
        execute(
            f"UPDATE {table} SET failing_since = NULL "
            "WHERE id = ANY(%s) AND failing_since IS NOT NULL",
            [sorted(well)],
        )
    if ill:
        execute(
            f"UPDATE {table} SET failing_since = now() "
            "WHERE id = ANY(%s) AND failing_since IS NULL AND status = 'enabled'",
            [sorted(ill)],
        )


def _attempt(end: _End) -> DeliveryAttempt:
    reply = end.tried.reply
    return DeliveryAttempt(
        id=public_ids.new_id(),
        delivery_id=end.tried.leased.id,
        number=end.tried.leased.attempts,
        started_at=end.tried.started_at,
        duration_ms=reply.duration_ms,
        status=reply.status,
        error=end.error[:200],
        response=readable(reply.body),
    )


def readable(body: bytes) -> str:
    """The beginning of an answer as text that is safe to store, log and show."""
    text = body[:_SHOWN_BYTES].decode("utf-8", errors="replace")
    escaped = "".join(
        each if each.isprintable() or each == "\n" else f"\\x{ord(each):02x}" for each in text
    )
    return _LONG_NUMBER.sub("••••", escaped)[:_RESPONSE_LENGTH]


def _tell_what_is_given_up(ends: Sequence[_End], written: Sequence[_Written]) -> None:
    """One line for each endpoint: of one that is dead, many are given up at once."""
    dead = {each.id for each in written if each.status == DeliveryStatus.DEAD}
    metrics.DELIVERIES_GIVEN_UP.labels(because="tries").inc(len(dead))
    of_endpoint: dict[WebhookEndpoint, list[_End]] = defaultdict(list)
    for end in ends:
        if end.tried.leased.id in dead:
            of_endpoint[end.tried.leased.endpoint].append(end)
    for endpoint, given_up in of_endpoint.items():
        logger.error(
            "alert: %d deliveries to webhook endpoint %s are given up after %d tries (%s): %s",
            len(given_up),
            endpoint,
            len(RETRY_SECONDS) + 1,
            given_up[0].error,
            " ".join(
                public_ids.encode(public_ids.DELIVERY, end.tried.leased.id)
                for end in given_up[:_NAMED_MOST]
            ),
        )


def _disable_the_dead(ends: Sequence[_End]) -> None:
    failing_before = now_utc() - timedelta(days=settings.WEBHOOK_DISABLE_AFTER_DAYS)
    seen: set[UUID] = set()
    for end in ends:
        endpoint = end.tried.leased.endpoint
        gone = end.tried.reply.status == HTTPStatus.GONE
        since = endpoint.failing_since
        hopeless = not end.tried.succeeded and since is not None and since <= failing_before
        if endpoint.id in seen or not (gone or hopeless):
            continue
        seen.add(endpoint.id)
        because = service.GONE if gone else service.FAILING
        if service.disable_failing_endpoint(
            endpoint.id, because=because, failing_before=failing_before
        ):
            logger.error("alert: webhook endpoint %s is disabled: %s", endpoint, because)
