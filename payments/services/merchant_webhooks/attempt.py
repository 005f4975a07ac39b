"""Makes one attempt of one delivery: sign, post, return the reply. No database.

Signed afresh at every attempt, with two sets of headers over the same bytes and secrets: Stripe's,
which its SDKs verify, and that of the Standard Webhooks specification.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from django.conf import settings

from payments import public_ids
from payments.models import WebhookEndpoint
from payments.services.egress.http_client import HttpClient, Reply
from payments.services.merchant_webhooks import secrets
from payments.services.merchant_webhooks.leasing import Leased
from payments.services.merchant_webhooks.secrets import PREFIX

_USER_AGENT: Final = "Payments-Webhooks/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptMade:
    """One attempt, with the endpoint's reply."""

    leased: Leased
    reply: Reply
    started_at: datetime

    @property
    def succeeded(self) -> bool:
        """True for 2xx only: a redirect is not followed and counts as a failure."""
        return self.reply.status is not None and 200 <= self.reply.status < 300


def attempt_delivery(leased: Leased, client: HttpClient) -> AttemptMade:
    """Sign the delivery's stored bytes and send them once."""
    started_at = datetime.now(UTC)
    reply = client.post(
        leased.endpoint.url,
        body=leased.envelope,
        headers=_headers(leased, started_at),
        deadline_seconds=settings.WEBHOOK_TIMEOUT_SECONDS,
    )
    return AttemptMade(leased=leased, reply=reply, started_at=started_at)


def signing_secrets(endpoint: WebhookEndpoint, *, now: datetime) -> list[str]:
    """The secrets that sign at `now`: the current one, and the previous one during a rotation."""
    sealed = [endpoint.sealed_secret]
    until = endpoint.previous_secret_until
    if endpoint.sealed_previous_secret and until is not None and now < until:
        sealed.append(endpoint.sealed_previous_secret)
    return [secrets.open_sealed(each) for each in sealed]


def signature_headers(
    *, body: bytes, event_id: str, secrets: Sequence[str], at_unix_seconds: int
) -> dict[str, str]:
    """The headers Stripe-Signature and webhook-id, -timestamp, -signature.

    Each holds one signature per secret.
    """
    moment = str(at_unix_seconds)
    stripes = [_stripe(secret, moment, body) for secret in secrets]
    standards = [_standard(secret, event_id, moment, body) for secret in secrets]
    return {
        "Stripe-Signature": ",".join([f"t={moment}", *(f"v1={each}" for each in stripes)]),
        "webhook-id": event_id,
        "webhook-timestamp": moment,
        "webhook-signature": " ".join(f"v1,{each}" for each in standards),
    }


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


def _stripe(secret: str, moment: str, body: bytes) -> str:
    signed = moment.encode() + b"." + body
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def _standard(secret: str, event_id: str, moment: str, body: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    signed = f"{event_id}.{moment}.".encode() + body
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
