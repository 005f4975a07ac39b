"""A checkout session as a merchant makes it, and its page as a browser asks for it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from django.test import Client

from payments import public_ids
from payments.clock import now_utc
from payments.models import CheckoutSession, Event, PaymentIntent
from payments.tests.support.api_client import ApiClient, Reply, api_of
from payments.tests.support.shop import Shop

PRICE = {"currency": "eur", "product_data": {"name": "A book"}, "unit_amount": 625}
LINES = [{"price_data": PRICE, "quantity": 2}]


@dataclass
class Visit:
    """One visitor of the page of a session; `attempt` is what the page told last."""

    shop: Shop
    id: str
    url: str
    client: Client = field(default_factory=Client)
    attempt: int = 1

    @property
    def base(self) -> str:
        return urlsplit(self.url).path

    @property
    def row(self) -> CheckoutSession:
        key = public_ids.decode(public_ids.CHECKOUT_SESSION, self.id)
        return CheckoutSession.objects.select_related("intent", "setup_intent").get(pk=key)

    @property
    def intent(self) -> PaymentIntent:
        return self.row.payment

    def look(self, **headers: str) -> Any:
        """The page, as the server answers it."""
        return self.client.get(self.base, headers=headers)

    def shown(self) -> str:
        """The state in which the page is."""
        found = re.search(r'data-state="(\w+)"', self.look().content.decode())
        assert found is not None, "it is a page of a session"
        return found[1]

    def pay(
        self, token: str = "pm_card_visa", *, method: str = "card", attempt: int = 0, **more: Any
    ) -> dict[str, Any]:
        """What the script of the page sends, and the answer that it gets."""
        body = {"method": method, "token": token, "attempt": attempt or self.attempt, **more}
        answer = self.client.post(f"{self.base}/pay", json.dumps(body), "application/json")
        told: dict[str, Any] = answer.json()
        self.attempt = told.get("attempt", self.attempt)
        return {"status": answer.status_code, **told}

    def status(self) -> dict[str, Any]:
        told: dict[str, Any] = self.client.get(f"{self.base}/status").json()
        return told

    def events(self) -> list[str]:
        """The types of the session's own events, in order."""
        rows = Event.objects.filter(aggregateid=self.intent.id).order_by("seq")
        return [row.type for row in rows if row.type.startswith("checkout.")]

    def effects(self) -> list[tuple[str, int]]:
        """What the PSP did for the order of this session."""
        effects = self.shop.psp.effects(order_id=self.intent.order_id)
        return [(each["kind"], each["amount_minor"]) for each in effects]


def create(api: ApiClient, **more: Any) -> Reply:
    """Create a session for 12.50 EUR."""
    given = {"line_items": LINES, "success_url": "https://shop.example/thanks", **more}
    return api.post("/v1/checkout/sessions", **given)


def visit(shop: Shop, **more: Any) -> Visit:
    """A visitor of a new session of the shop's order."""
    made = create(api_of(shop), **{"metadata": {"order_id": shop.order_id}, **more})
    assert made.status == 200, made.body
    return Visit(shop, made.body["id"], made.body["url"])


def make_due(*visitors: Visit) -> None:
    """Their time is over, and a worker has not seen it yet."""
    ids = [visitor.row.pk for visitor in visitors]
    CheckoutSession.objects.filter(pk__in=ids).update(
        next_expiry_at=now_utc() - timedelta(seconds=1)
    )
