"""Makes one attempt of one delivery: sign, post, return the reply. No database.

Signed afresh at every attempt.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from django.conf import settings

from payments import public_ids
from payments.services.egress.http_client import HttpClient, Reply
from payments.services.merchant_webhooks import secrets
from payments.services.merchant_webhooks.leasing import Leased

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
    """Sign the delivery's bytes and send them once."""
    started_at = datetime.now(UTC)
    reply = client.post(
        leased.endpoint.url,
        body=leased.body,
        headers=_headers(leased, started_at),
        deadline_seconds=settings.WEBHOOK_TIMEOUT_SECONDS,
    )
    return AttemptMade(leased=leased, reply=reply, started_at=started_at)


def attempt_in_order(leased: Leased, attempt: Callable[[Leased], AttemptMade]) -> list[AttemptMade]:
    """Attempt a delivery, and those that follow it as long as each is accepted in time.

    What is left out stays as it is: the result of the last attempt makes it due.
    """
    made = [attempt(leased)]
    for following in leased.following:
        if not (made[-1].succeeded and leased.may_go_on):
            break
        made.append(attempt(following))
    return made


def _headers(leased: Leased, now: datetime) -> dict[str, str]:
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": _USER_AGENT,
        "Event-Aggregate": str(leased.aggregateid),
        "Event-Sequence": str(leased.seq),
        "Delivery-Id": public_ids.encode(public_ids.DELIVERY, leased.id),
        "Delivery-Attempt": str(leased.attempts),
        **secrets.signature_headers(
            body=leased.body,
            event_id=public_ids.encode(public_ids.EVENT, leased.event_id),
            secrets=secrets.signing_secrets(leased.endpoint, now=now),
            at_unix_seconds=int(now.timestamp()),
        ),
    }
    return {**headers, "Delivery-Replay": "true"} if leased.is_replay else headers
