"""Records results of attempts: delivered, due again later, or dead letter.

Also disables endpoints that keep failing. Lock order: ordering keys, deliveries, endpoints.
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
from payments.event_types import DELIVERY_FAILING
from payments.models import Delivery, DeliveryAttempt, Event, WebhookEndpoint
from payments.selectors.events import held_back_by
from payments.services.merchant_webhooks import endpoints as service
from payments.services.merchant_webhooks.attempt import AttemptMade
from payments.services.merchant_webhooks.delivery_order import (
    OrderingKey,
    lock_ordering_keys_of,
    release_next,
)
from payments.services.merchant_webhooks.leasing import lease_seconds
from payments.states import DeliveryStatus
from psp_adapters.contract.card_numbers import masked_card_numbers
from psp_adapters.contract.stored_text import clean_text

logger = logging.getLogger(__name__)

RETRY_SECONDS: Final = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""From one attempt to the next: ten attempts over 75 hours, as Standard Webhooks recommends."""
_JITTER: Final = 0.1
WARNED_AFTER: Final = (5, len(RETRY_SECONDS) + 1)
"""Failures of a delivery that the merchant is told of: after 2.6 hours, and as it is given up."""
DEAD_LETTERED_PER_BATCH: Final = 500
_NAMED_MAX: Final = 5
"""Deliveries named in one log message; the console lists all."""
_RESPONSE_LENGTH: Final = 2_000
_SHOWN_BYTES: Final = 4_000
_LONG_NUMBER: Final = re.compile(r"[0-9](?:[ -]?[0-9]){12,18}")
"""What could be a card number is not stored, even if an endpoint returned it."""


@dataclass(frozen=True, slots=True)
class _Result:
    """What an attempt changes about its delivery."""

    made: AttemptMade
    status: DeliveryStatus
    delay_seconds: float | None
    error: str


@dataclass(frozen=True, slots=True)
class _Written:
    """A delivery as recorded after an attempt."""

    id: UUID
    ordering_key: OrderingKey
    status: str
    is_ordered: bool

    @property
    def is_over(self) -> bool:
        return self.status != DeliveryStatus.PENDING


def record_results(attempts: Sequence[AttemptMade]) -> None:
    """Record these attempts and release the next deliveries of their ordering keys.

    Those that were made under one lease must come together. An attempt whose lease has passed to
    another relay is logged as an attempt and changes nothing. Endpoints that answered 410, or have
    failed for days, are disabled. Dead letters raise an alert in the log.
    """
    if not attempts:
        return
    results = [_result_of(made) for made in attempts]
    with transaction.atomic(durable=True):
        # A crash of the database may lose this commit: the attempts are then repeated.
        execute("SELECT set_config('synchronous_commit', 'off', true)")
        lock_ordering_keys_of(
            {result.made.leased.aggregateid for result in results if result.made.leased.is_ordered}
        )
        written = _write(results)
        release_next({each.ordering_key for each in written if each.is_ordered and each.is_over})
        _note_health(results)
        Batch().insert(*(_attempt(result) for result in results)).execute()
    _report_dead_letters(results, written)
    _disable_failing(results)
    _warn_of_failing(results, {each.id for each in written})


def dead_letter_undeliverable(endpoint_id: UUID) -> int:
    """Dead-letter pending deliveries of a disabled endpoint; returns how many.

    One bounded batch. Deliveries that may be in flight are left until their lease ends.
    """
    delivery, endpoint = table_of(Delivery), table_of(WebhookEndpoint)
    with transaction.atomic(durable=True):
        chosen = execute(
            f"SELECT d.id, d.aggregateid FROM {delivery} d "
            f"JOIN {endpoint} e ON e.id = d.endpoint_id "
            "WHERE d.endpoint_id = %s AND e.status = 'disabled' AND d.status = 'pending' "
            "AND (d.next_attempt_at IS NOT NULL) AND (d.next_attempt_at <= now() "
            "OR d.next_attempt_at > now() + make_interval(secs => %s)) "
            "ORDER BY d.next_attempt_at LIMIT %s",
            [endpoint_id, lease_seconds(), DEAD_LETTERED_PER_BATCH],
        )
        if not chosen:
            return 0
        lock_ordering_keys_of({row[1] for row in chosen})
        updated = execute(
            f"UPDATE {delivery} SET status = 'dead', next_attempt_at = NULL, ended_at = now(), "
            "last_error = 'the endpoint is disabled' WHERE id = ANY(%s) AND status = 'pending' "
            "AND next_attempt_at IS NOT NULL RETURNING aggregateid, is_ordered",
            [[row[0] for row in chosen]],
        )
        release_next({(aggregate, endpoint_id) for aggregate, is_ordered in updated if is_ordered})
    metrics.DELIVERIES_DEAD_LETTERED.labels(reason="endpoint_disabled").inc(len(updated))
    return len(updated)


def _result_of(made: AttemptMade) -> _Result:
    reply, leased = made.reply, made.leased
    if made.succeeded:
        return _Result(made, DeliveryStatus.DELIVERED, None, "")
    error = reply.error or f"it answered {reply.status}"
    if leased.attempts_since_requeue > len(RETRY_SECONDS):
        return _Result(made, DeliveryStatus.DEAD, None, error)
    step = RETRY_SECONDS[leased.attempts_since_requeue - 1]
    delay = step * random.uniform(1 - _JITTER, 1 + _JITTER)
    return _Result(made, DeliveryStatus.PENDING, delay, error)


def _write(results: Sequence[_Result]) -> list[_Written]:
    """Update the deliveries that are still under the attempt's lease; returns those.

    One that followed is as it was before: another relay's lease would have counted an attempt.
    """
    rows = execute(
        f"UPDATE {table_of(Delivery)} d SET status = e.status, last_status = e.http_status, "
        "last_error = e.error, next_attempt_at = now() + make_interval(secs => e.delay_seconds), "
        "ended_at = CASE WHEN e.status <> 'pending' THEN now() END, "
        "attempts = d.attempts + e.follows, "
        "attempts_since_requeue = d.attempts_since_requeue + e.follows "
        "FROM unnest(%s::uuid[], %s::int[], %s::int[], %s::text[], %s::float8[], %s::int[], "
        "%s::text[]) AS e(id, attempts, follows, status, delay_seconds, http_status, error) "
        "WHERE d.id = e.id AND d.attempts = e.attempts - e.follows AND d.status = 'pending' "
        "RETURNING d.id, d.aggregateid, d.endpoint_id, d.status, d.is_ordered",
        [
            [result.made.leased.id for result in results],
            [result.made.leased.attempts for result in results],
            [int(result.made.leased.follows) for result in results],
            [result.status.value for result in results],
            [result.delay_seconds for result in results],
            [result.made.reply.status for result in results],
            [clean_text(result.error, most=200) for result in results],
        ],
    )
    return [_Written(row[0], (row[1], row[2]), row[3], row[4]) for row in rows]


def _note_health(results: Sequence[_Result]) -> None:
    """Keep `failing_since` of the endpoints; written only when it changes."""
    healthy = {result.made.leased.endpoint.id for result in results if result.made.succeeded}
    failing = {
        result.made.leased.endpoint.id
        for result in results
        if not result.made.succeeded and result.made.leased.endpoint.failing_since is None
    } - healthy
    table = table_of(WebhookEndpoint)
    if healthy:
        # Even if our copy says so: another relay may have recorded a failure in between.
        execute(
            f"UPDATE {table} SET failing_since = NULL "
            "WHERE id = ANY(%s) AND failing_since IS NOT NULL",
            [sorted(healthy)],
        )
    if failing:
        execute(
            f"UPDATE {table} SET failing_since = now() "
            "WHERE id = ANY(%s) AND failing_since IS NULL AND status = 'enabled'",
            [sorted(failing)],
        )


def _attempt(result: _Result) -> DeliveryAttempt:
    reply = result.made.reply
    return DeliveryAttempt(
        id=public_ids.new_id(),
        delivery_id=result.made.leased.id,
        number=result.made.leased.attempts,
        started_at=result.made.started_at,
        duration_ms=reply.duration_ms,
        status=reply.status,
        error=clean_text(result.error, most=200),
        response=readable(reply.body),
    )


def readable(body: bytes) -> str:
    """The beginning of a response body as text that is safe to store, log and show."""
    text = body[:_SHOWN_BYTES].decode("utf-8", errors="replace")
    escaped = "".join(
        each if each.isprintable() or each == "\n" else f"\\x{ord(each):02x}" for each in text
    )
    return masked_card_numbers(_LONG_NUMBER.sub("••••", escaped))[:_RESPONSE_LENGTH]


def _report_dead_letters(results: Sequence[_Result], written: Sequence[_Written]) -> None:
    """Log one alert per endpoint: one that is down has many dead letters at once."""
    dead = {each.id for each in written if each.status == DeliveryStatus.DEAD}
    metrics.DELIVERIES_DEAD_LETTERED.labels(reason="attempts_exhausted").inc(len(dead))
    of_endpoint: dict[WebhookEndpoint, list[_Result]] = defaultdict(list)
    for result in results:
        if result.made.leased.id in dead:
            of_endpoint[result.made.leased.endpoint].append(result)
    for endpoint, given_up in of_endpoint.items():
        logger.error(
            "alert: %d dead letters for webhook endpoint %s after %d attempts (%s): %s",
            len(given_up),
            endpoint,
            len(RETRY_SECONDS) + 1,
            given_up[0].error,
            " ".join(
                public_ids.encode(public_ids.DELIVERY, result.made.leased.id)
                for result in given_up[:_NAMED_MAX]
            ),
        )


def _disable_failing(results: Sequence[_Result]) -> None:
    failing_before = now_utc() - timedelta(days=settings.WEBHOOK_DISABLE_AFTER_DAYS)
    seen: set[UUID] = set()
    for result in results:
        endpoint = result.made.leased.endpoint
        gone = result.made.reply.status == HTTPStatus.GONE
        since = endpoint.failing_since
        hopeless = not result.made.succeeded and since is not None and since <= failing_before
        if endpoint.id in seen or not (gone or hopeless):
            continue
        seen.add(endpoint.id)
        because = service.GONE if gone else service.FAILING
        if service.disable_failing_endpoint(
            endpoint.id, because=because, failing_before=failing_before
        ):
            logger.error("alert: webhook endpoint %s is disabled: %s", endpoint, because)


def _warn_of_failing(results: Sequence[_Result], written: set[UUID]) -> None:
    """Tell the merchant of deliveries that fail again and again; never of one that tells of one."""
    for result in results:
        leased = result.made.leased
        failures = leased.attempts_since_requeue
        if result.made.succeeded or failures not in WARNED_AFTER or leased.id not in written:
            continue
        if service.was_warned_of(leased.endpoint):
            continue  # An endpoint that is down fails for every payment: count once a day.
        event = Event.objects.get(pk=leased.event_id)
        if event.type == DELIVERY_FAILING:
            continue
        held_back = held_back_by(leased.endpoint)
        failing = {
            "event": event.public_id,
            "event_type": event.type,
            "failures": failures,
            "given_up": result.status is DeliveryStatus.DEAD,
            "last_error": clean_text(result.error, most=200),
            "payments_held_back": held_back.payments if held_back else 0,
        }
        if service.warn_of_failing_delivery(leased.endpoint.id, failing=failing):
            logger.warning("a delivery to %s failed %d times", leased.endpoint, failures)
