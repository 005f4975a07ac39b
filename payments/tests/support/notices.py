"""A PSP account that sends us notices, and the notices as tests handle them.

What the sandbox PSP sends is caught on the way by a receiver; a test then delivers it when, how
often and in what order it likes, over our real address.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
import urllib.request
import uuid
from dataclasses import dataclass, field
from typing import Any

from django.http import HttpResponse
from django.test import Client

from ledger.models import LedgerEntry
from payments.models import Event, PspNotification
from payments.services.psp_notifications import processing, receiving
from payments.tests.support.factories import credentials_of, set_credentials
from payments.tests.support.shop import Shop, uuid_of
from psp_adapters.contract.notifications import WebhookRequest
from psp_adapters.sandbox.webhook import account_of
from psp_adapters.tests.support.receiver import SECRET, Delivery, Receiver


def sign(body: bytes, *, secret: str = SECRET, at_seconds: float | None = None) -> str:
    moment = str(int(time.time() if at_seconds is None else at_seconds))
    digest = hmac.new(secret.encode(), moment.encode() + b"." + body, hashlib.sha256).hexdigest()
    return f"t={moment},h1={digest}"


@dataclass
class Hooks:
    """One shop's notifications: those caught from the PSP, and our address for them."""

    shop: Shop
    receiver: Receiver = field(repr=False)
    client: Client = field(default_factory=Client)

    @property
    def path(self) -> str:
        return f"/psp/{self.shop.account.code}/webhook"

    def listen(self) -> None:
        """Register the receiver at the PSP, and its secret with us."""
        set_credentials(self.shop.account, webhook_secrets=SECRET)
        self._endpoint("PUT", {"url": self.receiver.url, "secret": SECRET})

    def stop(self) -> None:
        self._endpoint("DELETE", {})

    def caught(self, *types: str) -> list[Delivery]:
        """The newest notice of each type, once all have come."""
        self.receiver.wait_until(lambda all_: set(types) <= {each.type for each in all_})
        newest = {each.type: each for each in self.receiver.deliveries}
        return [newest[type_] for type_ in types]

    def notice(self, **changes: Any) -> bytes:
        """A notice that the PSP could send; `data` and others changed."""
        return notice_of(credentials_of(self.shop.account)["api_key"], **changes)

    def deliver(self, body: bytes | Delivery, signature: str | None = None) -> HttpResponse:
        """Post a notice to us, signed now unless told otherwise."""
        raw = body.body if isinstance(body, Delivery) else body
        proof = sign(raw) if signature is None else signature
        headers = {"Sandbox-Signature": proof} if proof else {}
        return self.client.post(
            self.path, data=raw, content_type="application/json", headers=headers
        )

    def take(self, *bodies: bytes | Delivery) -> None:
        """Deliver each, and process it before the next."""
        for body in bodies:
            assert self.deliver(body).status_code == 200
            assert processing.process_due_notifications() <= 1

    def _endpoint(self, method: str, words: dict[str, str]) -> None:
        credentials = credentials_of(self.shop.account)
        request = urllib.request.Request(
            f"{credentials['base_url']}/v1/webhook_endpoint",
            data=json.dumps(words).encode(),
            method=method,
            headers={"Authorization": f"Bearer {credentials['api_key']}"},
        )
        with urllib.request.urlopen(request, timeout=5) as answer:
            assert answer.status == 200


def store_notice(shop: Shop, **changes: Any) -> PspNotification:
    """Store a notification that the test has written, without processing it."""
    set_credentials(shop.account, webhook_secrets=SECRET)
    body = notice_of(credentials_of(shop.account)["api_key"], **changes)
    request = WebhookRequest(headers={"Sandbox-Signature": sign(body)}, body=body)
    [stored] = receiving.receive_notifications(request, account_code=shop.account.code).stored
    return stored


def notice_of(api_key: str, **changes: Any) -> bytes:
    """A notice that the PSP could send; `data` and others changed."""
    words = {
        "object": "notice",
        "id": f"sev_{uuid.uuid4().hex}",
        "type": "payment.authorized",
        "account": account_of(api_key),
        "created_at": "2026-03-01T12:00:00.000Z",
        "data": {"payment_id": "", "references": []},
        **changes,
    }
    return json.dumps(words).encode()


def make_due() -> None:
    """Let time pass: every notification that waits is due."""
    PspNotification.objects.filter(next_attempt_at__isnull=False).update(
        next_attempt_at="2000-01-01T00:00:00Z"
    )


def only_notification() -> PspNotification:
    return PspNotification.objects.get()


def books_of(intent_id: str) -> list[tuple[Any, ...]]:
    """Every entry of a payment, in no particular order and without its own ids."""
    rows = LedgerEntry.objects.filter(payment_id=uuid_of(intent_id))
    names = ("account__code", "account__currency", "direction", "amount_minor", "entry_type")
    return sorted(rows.values_list(*names))


def story_of(shop: Shop, intent_id: str) -> dict[str, Any]:
    """What must be the same in whatever order notifications arrive."""
    intent = shop.intent(intent_id)
    events = Event.objects.filter(aggregateid=intent.id).values_list("type", flat=True)
    return {
        "status": intent.status,
        "amounts": (
            intent.amount_authorized_minor,
            intent.amount_captured_minor,
            intent.amount_refunded_minor,
            intent.amount_refund_pending_minor,
        ),
        "operations": sorted((o.kind, o.status) for o in shop.operations(intent_id)),
        "books": books_of(intent_id),
        "events": sorted(events),
    }


def lose_the_answer(shop: Shop, kind: str) -> None:
    shop.psp.script({"drop_after": 1}, order_id=shop.order_id, kind=kind)
