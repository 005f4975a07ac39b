"""Reads Mollie's notifications: a payment's id, sent unsigned, or a signed event. No I/O, no clock.

Mollie signs nothing of the first kind. So each payment names an address of its own, whose query
carries our reference and a signature of it: a request that lacks them did not come from Mollie. It
says only that something about the payment changed. A signed event is sent to subscribers.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from urllib.parse import parse_qs, urlencode

from psp_adapters.contract.notifications import Notification, NotificationRefused, WebhookRequest
from psp_adapters.contract.signed_notifications import (
    could_be_identifier,
    identifier,
    only_header,
    refusing_what_is_unreadable,
    require_signed,
)
from psp_adapters.mollie.mapping import Json, moment_of, reference_of
from psp_adapters.mollie.vocabulary import EVENT_TYPES

SIGNATURE_HEADER: Final = "x-mollie-signature"
"""The hex HMAC-SHA256 of the body, with or without `sha256=` before it."""
PAYMENT_CHANGED: Final = "payment.changed"
"""What we call a notification that says only an id."""
_PURPOSE: Final = b"mollie payment address "
_PAYMENT_ID: Final = re.compile(r"tr_[A-Za-z0-9_]{1,100}")


def address_of_payment(webhook_url: str, *, reference: str, secret: str) -> str:
    """Where Mollie is to send notifications of the payment of one AUTHORIZE operation."""
    query = {"op": reference, "signature": _signature(reference, secret)}
    return f"{webhook_url}?{urlencode(query)}"


def _signature(reference: str, secret: str) -> str:
    signed = _PURPOSE + reference.encode()
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def read(
    request: WebhookRequest, *, secrets: Sequence[str], now: datetime, mode: str
) -> Notification:
    """Read one notification, once it is certain that it is from Mollie.

    Raises NotificationRefused, and nothing else, for everything that is not one.
    """
    with refusing_what_is_unreadable():
        if any(name.lower() == SIGNATURE_HEADER for name in request.headers):
            return _event(request, secrets=secrets, mode=mode)
        return _changed_payment(request, secrets=secrets, now=now)


def _changed_payment(
    request: WebhookRequest, *, secrets: Sequence[str], now: datetime
) -> Notification:
    """The id of a payment. Mollie gives the event no id: each delivery is a reason to look."""
    query = parse_qs(request.query, strict_parsing=True, max_num_fields=10)
    [reference], [signature] = query["op"], query["signature"]
    require_signed(_PURPOSE + reference.encode(), signatures=[signature], secrets=secrets)
    [payment_id] = parse_qs(request.body.decode(), strict_parsing=True, max_num_fields=10)["id"]
    if not _PAYMENT_ID.fullmatch(payment_id):
        raise NotificationRefused("not the id of a payment")
    return Notification(
        event_id=f"{payment_id}@{now.isoformat()}",
        type=PAYMENT_CHANGED,
        account="",
        psp_payment_id=payment_id,
        references=(identifier(reference),),
        claims=None,
        occurred_at=now,
        known=True,
        signature_headers={},
    )


def _event(request: WebhookRequest, *, secrets: Sequence[str], mode: str) -> Notification:
    header = only_header(request.headers, SIGNATURE_HEADER)
    require_signed(request.body, signatures=[header.removeprefix("sha256=")], secrets=secrets)
    event = json.loads(request.body.decode())
    type_, entity_id = identifier(event["type"]), identifier(event["entityId"])
    if event["resource"] != "event":
        raise NotificationRefused("signed, but not an event")
    entity = (event.get("_embedded") or {}).get("entity") or {}
    if entity.get("mode", mode) != mode:
        raise NotificationRefused("it is of the other mode, test or live")
    kind = type_.partition(".")[0]
    return Notification(
        event_id=identifier(event["id"]),
        type=type_,
        account="",
        psp_payment_id=_payment_id_of(kind, entity_id, entity),
        references=_references_of(kind, entity),
        claims=None,
        occurred_at=moment_of(event["createdAt"]),
        known=type_ in EVENT_TYPES,
        signature_headers={SIGNATURE_HEADER: header},
        psp_dispute_id=entity_id if kind == "chargeback" else "",
    )


def _payment_id_of(kind: str, entity_id: str, entity: Json) -> str:
    if kind == "payment":
        return entity_id
    found = entity.get("paymentId")
    return identifier(found) if found else ""


def _references_of(kind: str, entity: Json) -> tuple[str, ...]:
    """Ours of the operation concerned; none for a chargeback, whose payment is looked up."""
    own = reference_of(entity) if kind != "chargeback" else ""
    return (own,) if could_be_identifier(own) else ()
