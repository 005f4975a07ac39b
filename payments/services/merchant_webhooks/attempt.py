"""One try of one delivery: sign, post, and say what came of it. No database.

What may not live here: whether and when it is tried again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from django.conf import settings

from payments import public_ids
from payments.models import WebhookEndpoint
from payments.services.egress.http_client import Poster, Reply
from payments.services.merchant_webhooks import secrets
from payments.services.merchant_webhooks.leasing import Leased
from payments.services.merchant_webhooks.signatures import signature_headers

_USER_AGENT: Final = "Payments-Webhooks/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A try that was made."""

    leased: Leased
    reply: Reply
    started_at: datetime

    @property
    def succeeded(self) -> bool:
        """2xx is the only yes: a redirect is a failure, it is not followed."""
        return self.reply.status is not None and 200 <= self.reply.status < 300


def try_once(leased: Leased, poster: Poster) -> Tried:
    """Send the delivery's bytes, signed now."""
    started_at = datetime.now(UTC)
    reply = poster.post(
        leased.endpoint.url,
        body=leased.envelope,
        headers=_headers(leased, started_at),
        deadline_seconds=settings.WEBHOOK_TIMEOUT_SECONDS,
    )
    return Tried(leased=leased, reply=reply, started_at=started_at)


def signing_secrets(endpoint: WebhookEndpoint, *, now: datetime) -> list[str]:
    """What signs now: the secret, and while they are exchanged the one before it too."""
    sealed = [endpoint.sealed_secret]
    until = endpoint.previous_secret_until
    if endpoint.sealed_previous_secret and until is not None and now < until:
        sealed.append(endpoint.sealed_previous_secret)
    return [secrets.open_sealed(each) for each in sealed]


def _headers(leased: Leased, now: datetime) -> dict[str, str]:
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": _USER_AGENT,
        "Event-Aggregate": str(leased.aggregateid),
        "Event-Sequence": str(leased.seq),
        "Delivery-Id": public_ids.encode(public_ids.DELIVERY, leased.id),
        "Delivery-Attempt": str(leased.attempts),
        **signature_headers(
            body=leased.envelope,
            event_id=public_ids.encode(public_ids.EVENT, leased.event_id),
            secrets=signing_secrets(leased.endpoint, now=now),
            at_unix_seconds=int(now.timestamp()),
        ),
    }
    return {**headers, "Delivery-Replay": "true"} if leased.is_replay else headers
