"""Create, change, delete, disable and enable webhook endpoints, and rotate their secrets.

Lock order: idempotency key, endpoint, event.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import orjson
from django.db import transaction

from ledger.database.row_ids import new_row_id
from ledger.database.statements import Batch
from payments import public_ids, sealing
from payments.clock import now_utc
from payments.event_types import DELIVERY_FAILING, ENDPOINT_DISABLED, EVENT_PATTERNS
from payments.exceptions import InvalidParameter
from payments.metadata import merged_metadata
from payments.models import WebhookEndpoint
from payments.objects.event import (
    deleted_webhook_endpoint_object,
    webhook_endpoint_object,
)
from payments.public_ids import created_at_of
from payments.selectors.events import webhook_endpoints
from payments.selectors.scope import WEBHOOK_ENDPOINT, refuse_missing
from payments.services import callers
from payments.services.callers.caller import Answer, Caller, CommandRequest
from payments.services.egress.url_policy import TargetRefused, policy_of_settings, target_of
from payments.services.idempotency.direct_requests import DirectResult, DirectTx, direct_command
from payments.services.merchant_webhooks import secrets
from payments.services.outbox.events import EventDraft, events_of
from payments.states import DeliveryOrder

ENDPOINTS_MAX: Final = 50
"""Per merchant and mode: each endpoint costs one delivery per event."""
BY_MERCHANT: Final = "merchant"
GONE: Final = "gone"
FAILING: Final = "failing"
JOB: Final = "job:webhooks"

_SEALED: Final = "sealed:"
_WARNED_EVERY: Final = timedelta(days=1)
_CHANGEABLE: Final = (
    *("url", "enabled_events", "description", "metadata", "status", "disabled_because"),
    *("disabled_at", "failing_since", "delivery_order", "updated_at"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointDetails:
    """What a request sets; None: not given, an empty value unsets."""

    url: str | None = None
    enabled_events: Sequence[str] | None = None
    description: str | None = None
    metadata: dict[str, str] | None = None
    disabled: bool | None = None
    delivery_order: str | None = None


def create_endpoint(
    request: CommandRequest[WebhookEndpoint], *, details: EndpointDetails, api_version: str
) -> DirectResult[WebhookEndpoint]:
    """Create an endpoint, once per idempotency key; the answer shows its secret, also to a replay.

    The renderer must render the secret with `sealed_for_answer`: the stored answer holds it
    encrypted. Stored answers are never re-encrypted, so a replay after the encryption key was
    removed omits the secret. Raises InvalidParameter for a URL that may not be called, and beyond
    ENDPOINTS_MAX.
    """
    created = _create_sealed(request, details=details, api_version=api_version)
    if created.answer is None:
        return created
    return replace(created, answer=_with_opened_secret(created.answer))


@direct_command
def _create_sealed(tx: DirectTx, *, details: EndpointDetails, api_version: str) -> WebhookEndpoint:
    identifier = new_row_id()
    created_at = created_at_of(identifier)
    endpoint = WebhookEndpoint(
        id=identifier,
        merchant_id=tx.caller.merchant.id,
        livemode=tx.caller.livemode,
        api_version=api_version,
        sealed_secret=sealing.seal(secrets.new_secret()),
        created_at=created_at,
        updated_at=created_at,
    )
    _put(endpoint, details)
    if webhook_endpoints(tx.caller.scope).count() >= ENDPOINTS_MAX:
        raise InvalidParameter(
            f"There can be {ENDPOINTS_MAX} webhook endpoints at most: delete one first.",
            code="webhook_endpoint_limit",
        )
    tx.batch.insert(endpoint)
    return endpoint


@direct_command
def update_endpoint(
    tx: DirectTx, *, endpoint_id: UUID, details: EndpointDetails
) -> WebhookEndpoint:
    """Change an endpoint; metadata is merged. Raises ResourceMissing, for deleted ones too."""
    endpoint = locked_endpoint(tx.caller, endpoint_id)
    _put(endpoint, details)
    endpoint.updated_at = now_utc()
    tx.batch.update(endpoint, _CHANGEABLE)
    return endpoint


def delete_endpoint(*, caller: Caller, endpoint_id: UUID) -> dict[str, Any]:
    """Delete an endpoint; its pending deliveries become dead letters.

    Returns the stub that the API shows. Raises ResourceMissing, also the second time.
    """
    with transaction.atomic(durable=True):
        endpoint = locked_endpoint(caller, endpoint_id)
        now = now_utc()
        if endpoint.is_enabled:
            _disable(endpoint, because=BY_MERCHANT, now=now)
        endpoint.deleted_at = endpoint.updated_at = now
        Batch().update(endpoint, (*_CHANGEABLE, "deleted_at")).execute()
    return deleted_webhook_endpoint_object(endpoint)


def locked_endpoint(caller: Caller, endpoint_id: UUID) -> WebhookEndpoint:
    """The caller's endpoint, locked until the transaction ends. Raises ResourceMissing."""
    found = webhook_endpoints(caller.scope).select_for_update().filter(pk=endpoint_id).first()
    if found is None:
        public_id = public_ids.encode(public_ids.WEBHOOK_ENDPOINT, endpoint_id)
        refuse_missing(WEBHOOK_ENDPOINT, public_id)
    return found


def disable_failing_endpoint(endpoint_id: UUID, *, because: str, failing_before: datetime) -> bool:
    """Disable an endpoint that is gone, or failing since before `failing_before`; emit the event.

    Returns False if it works again, or was disabled meanwhile.
    """
    with transaction.atomic(durable=True):
        endpoint = (
            WebhookEndpoint.objects.select_for_update(of=("self",))
            .select_related("merchant")
            .get(pk=endpoint_id)
        )
        failing = endpoint.failing_since is not None and endpoint.failing_since <= failing_before
        if not endpoint.is_enabled or not (because == GONE or failing):
            return False
        _disable(endpoint, because=because, now=now_utc())
        draft = EventDraft(
            ENDPOINT_DISABLED, webhook_endpoint_object(endpoint), {"status": "enabled"}
        )
        events = events_of(endpoint, [draft], callers.for_endpoint(endpoint, JOB))
        Batch().update(endpoint, (*_CHANGEABLE, "event_seq")).insert(*events).execute()
    return True


def was_warned_of(endpoint: WebhookEndpoint) -> bool:
    """Whether an event told the merchant within a day that deliveries to the endpoint fail."""
    return endpoint.warned_at is not None and now_utc() - endpoint.warned_at < _WARNED_EVERY


def warn_of_failing_delivery(endpoint_id: UUID, *, failing: dict[str, Any]) -> bool:
    """Emit the event about a delivery that fails again and again; at most one a day per endpoint.

    `failing` is shown as `failing_delivery` of the endpoint. Returns False without an event.
    """
    with transaction.atomic(durable=True):
        endpoint = (
            WebhookEndpoint.objects.select_for_update(of=("self",))
            .select_related("merchant")
            .get(pk=endpoint_id)
        )
        if not endpoint.is_enabled or was_warned_of(endpoint):
            return False
        endpoint.warned_at = now_utc()
        shown = {**webhook_endpoint_object(endpoint), "failing_delivery": failing}
        draft = EventDraft(DELIVERY_FAILING, shown)
        events = events_of(endpoint, [draft], callers.for_endpoint(endpoint, JOB))
        Batch().update(endpoint, ("warned_at", "event_seq")).insert(*events).execute()
    return True


def set_delivery_order(endpoint_id: UUID, order: DeliveryOrder) -> None:
    """Choose whether an endpoint gets the events of a payment in order, from now on.

    After a change to unordered a relay releases what is held back, within a minute.
    """
    WebhookEndpoint.objects.filter(pk=endpoint_id).update(
        delivery_order=order.value, updated_at=now_utc()
    )


def enable_endpoint(endpoint_id: UUID) -> bool:
    """Enable an endpoint; returns False if it is enabled or deleted.

    It gets events from now on. Dead letters stay dead until an operator resends them.
    """
    with transaction.atomic(durable=True):
        endpoint = WebhookEndpoint.objects.select_for_update().get(pk=endpoint_id)
        if endpoint.is_enabled or endpoint.deleted_at is not None:
            return False
        _enable(endpoint)
        endpoint.updated_at = now_utc()
        Batch().update(endpoint, _CHANGEABLE).execute()
    return True


def rotate_secret(endpoint_id: UUID, *, overlap: timedelta) -> str:
    """Give an endpoint a new secret and return it; for `overlap` the previous one signs as well.

    Without an overlap every earlier secret ends at once, as after a leak. Raises ValueError for an
    overlap that begins during another one: at most two secrets sign.
    """
    with transaction.atomic(durable=True):
        endpoint = WebhookEndpoint.objects.select_for_update().get(pk=endpoint_id)
        now, until = now_utc(), endpoint.previous_secret_until
        keeps_previous = overlap > timedelta(0)
        if keeps_previous and until is not None and until > now:
            raise ValueError(f"two secrets sign already, until {until:%Y-%m-%d %H:%M:%S} UTC")
        secret = secrets.new_secret()
        endpoint.sealed_previous_secret = endpoint.sealed_secret if keeps_previous else ""
        endpoint.previous_secret_until = now + overlap if keeps_previous else None
        endpoint.sealed_secret = sealing.seal(secret)
        endpoint.updated_at = now
        fields = ("sealed_secret", "sealed_previous_secret", "previous_secret_until", "updated_at")
        Batch().update(endpoint, fields).execute()
    return secret


def reseal_secrets() -> int:
    """Encrypt every secret anew with the first of our keys, so that the others can be removed.

    Returns how many endpoints. Stored answers keep theirs: see `create_endpoint`.
    """
    ids = list(WebhookEndpoint.objects.values_list("pk", flat=True))
    for endpoint_id in ids:
        with transaction.atomic(durable=True):
            endpoint = WebhookEndpoint.objects.select_for_update().get(pk=endpoint_id)
            endpoint.sealed_secret = sealing.reseal(endpoint.sealed_secret)
            if endpoint.sealed_previous_secret:
                previous = sealing.reseal(endpoint.sealed_previous_secret)
                endpoint.sealed_previous_secret = previous
            fields = ("sealed_secret", "sealed_previous_secret")
            Batch().update(endpoint, fields).execute()
    return len(ids)


def sealed_for_answer(endpoint: WebhookEndpoint) -> str:
    """The secret as a stored answer holds it; `create_endpoint` decrypts it for the response."""
    return _SEALED + endpoint.sealed_secret


def _with_opened_secret(answer: Answer) -> Answer:
    body = orjson.loads(answer.body)
    secret = body.get("secret", "")
    if not secret.startswith(_SEALED):
        return answer
    try:
        body["secret"] = sealing.open_sealed(secret.removeprefix(_SEALED))
    except sealing.SealedByAnotherKey:
        del body["secret"]  # the key that sealed it was removed
    return replace(answer, body=orjson.dumps(body).decode())


def _put(endpoint: WebhookEndpoint, details: EndpointDetails) -> None:
    if details.url is not None:
        endpoint.url = _checked_url(details.url)
    if details.enabled_events is not None:
        endpoint.enabled_events = _checked_patterns(details.enabled_events)
    if details.description is not None:
        endpoint.description = details.description
    if details.metadata is not None:
        endpoint.metadata = merged_metadata(endpoint.metadata, details.metadata)
    if details.delivery_order is not None:
        endpoint.delivery_order = details.delivery_order
    if details.disabled is True and endpoint.is_enabled:
        _disable(endpoint, because=BY_MERCHANT, now=now_utc())
    if details.disabled is False and not endpoint.is_enabled:
        _enable(endpoint)


def _checked_url(url: str) -> str:
    try:
        target_of(url, policy_of_settings())
    except TargetRefused as refusal:
        message = f"Invalid URL: {refusal}"
        raise InvalidParameter(message, param="url", code="url_invalid") from None
    return url


def _checked_patterns(patterns: Sequence[str]) -> list[str]:
    for pattern in patterns:
        if pattern not in EVENT_PATTERNS:
            raise InvalidParameter(
                "There is no such event type; give types, `*`, or the start of types and `.*`.",
                param="enabled_events",
            )
    return list(dict.fromkeys(patterns))


def _disable(endpoint: WebhookEndpoint, *, because: str, now: datetime) -> None:
    endpoint.disable()
    endpoint.disabled_because, endpoint.disabled_at = because, now
    endpoint.updated_at = now


def _enable(endpoint: WebhookEndpoint) -> None:
    endpoint.enable()
    endpoint.disabled_because, endpoint.disabled_at = "", None
    endpoint.failing_since = None
