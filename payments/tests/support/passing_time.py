"""Time that passes for payments that wait: at the PSP, in our books, or for the sweep. No tests."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from payments.clock import now_utc
from payments.models import Deadline, Event, PaymentIntent
from payments.services.automatic_actions import sweep as action_sweep
from payments.tests.support.shop import Shop, body_of, uuid_of

EXPIRES_AT_ONCE = "pm_card_authorizationExpiresNow"


def hold(shop: Shop, *, token: str = EXPIRES_AT_ONCE, amount_minor: int = 10_000) -> str:
    """A payment whose money is held, by default for two seconds of the PSP's clock; its id."""
    intent = body_of(shop.create(amount_minor, token=token, manual=True))
    assert intent["status"] == "requires_capture"
    identifier: str = intent["id"]
    return identifier


def run_out(shop: Shop, intent_id: str) -> None:
    """Let the hold expire at the PSP, and set the expiry that we have stored into the past."""
    shop.psp.advance(3)
    end_hold(intent_id, at=now_utc() - timedelta(seconds=1))


def end_hold(intent_id: str, *, at: datetime) -> None:
    """Set the expiry of the hold that we have stored."""
    PaymentIntent.objects.filter(pk=uuid_of(intent_id)).update(authorization_expires_at=at)


def wait_since(intent_id: str, hours: float) -> None:
    """Set since when a payment waits."""
    changed = Deadline.objects.filter(pk=uuid_of(intent_id)).update(
        waiting_since=now_utc() - timedelta(hours=hours)
    )
    assert changed == 1


def sweep() -> int:
    """Run the sweep with every deadline due."""
    Deadline.objects.update(next_action_at=now_utc() - timedelta(seconds=1))
    return action_sweep.act_on_due_deadlines()


def deadline_of(intent_id: str) -> Deadline:
    return Deadline.objects.get(pk=uuid_of(intent_id))


def events_of(intent_id: str) -> list[str]:
    rows = Event.objects.filter(aggregateid=uuid_of(intent_id)).order_by("seq")
    return list(rows.values_list("type", flat=True))


def last_event(intent_id: str, type_: str) -> dict[str, Any]:
    row = Event.objects.filter(aggregateid=uuid_of(intent_id), type=type_).latest("seq")
    shown: dict[str, Any] = row.payload["object"]
    return shown
