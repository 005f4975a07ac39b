"""A merchant and its customers in this process: API requests, the PSP's page, the bank's moves.

Everything goes through our own API and services, with the real sandbox PSP. A visit notes what it
made, so that its rows are found again.
"""

from __future__ import annotations

import json
import os
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Final
from urllib.parse import urlencode

from django.test import Client

UNIT_MINOR: Final = 400_000
"""All amounts of a recorded life are multiples of it, and no other number comes near it."""
WORD: Final = "grown"
"""Begins each word that every copy gets anew: orders, keys, names."""
_SETTLED_WITHIN_SECONDS: Final = 300
_POLL_SECONDS: Final = 0.1
_TIMEOUT_SECONDS: Final = 60
_LONG_AGO: Final = "2000-01-01T00:00:00Z"
_FORM: Final = "application/x-www-form-urlencoded"
_BUSY: Final = frozenset({409, 429, 500, 503})
_REPEATS: Final = 20


def new_word() -> str:
    """A word that is found again in rows, such as grown0f3a…"""
    return WORD + os.urandom(6).hex()


@dataclass
class Inbox:
    """What arrived at this process: the PSP's notifications. The merchant's are answered only."""

    url: str = ""
    notifications: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    def take(self) -> list[tuple[dict[str, str], bytes]]:
        """Those since the last call."""
        taken, self.notifications = self.notifications, []
        return taken


@contextmanager
def inbox() -> Iterator[Inbox]:
    """Listen on a free port: /psp is our webhook, everything else the merchant's endpoint."""
    received = Inbox()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/psp":
                received.notifications.append((dict(self.headers.items()), body))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: Any) -> None:
            """Not shown."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    received.url = f"http://127.0.0.1:{server.server_address[1]}"
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield received
    finally:
        server.shutdown()
        server.server_close()


@dataclass(frozen=True, kw_only=True)
class Psp:
    """The sandbox PSP's control API, and the registration of our webhook."""

    base_url: str
    api_key: str

    def control(self, method: str, path: str, body: object = None) -> Any:
        """One request of the control API."""
        return self._send(method, f"/control/{path}", body)

    def register(self, url: str, secret: str) -> None:
        """Send notifications of this account there."""
        self._send("PUT", "/v1/webhook_endpoint", {"url": url, "secret": secret})

    def unregister(self) -> None:
        """Send no more."""
        self._send("DELETE", "/v1/webhook_endpoint", {})

    def has_sent_all(self) -> bool:
        """True once no notification is on its way."""
        return not self.control("GET", "webhooks")["open"]

    def _send(self, method: str, path: str, body: object) -> Any:
        request = urllib.request.Request(
            self.base_url + path,
            data=None if body is None else json.dumps(body).encode(),
            method=method,
            headers={"Authorization": f"Bearer {self.api_key}"},
        )
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:
            return json.loads(answer.read())


@dataclass
class Visit:
    """One life of a payment, or of several of one customer: requests, and what they made."""

    secret_key: str
    psp: Psp
    currency: str
    client: Client = field(default_factory=Client)
    intents: list[str] = field(default_factory=list)
    customers: list[str] = field(default_factory=list)
    orders: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)

    def post(self, path: str, **params: Any) -> dict[str, Any]:
        """A request with a key of its own; a declined card (402) is an answer too.

        It is repeated while the server is busy, as SDKs do.
        """
        self.keys.append(f"key-{new_word()}")
        headers = {
            "authorization": f"Bearer {self.secret_key}",
            "idempotency-key": self.keys[-1],
        }
        for _ in range(_REPEATS):
            answer = self.client.post(
                f"/v1/{path}", urlencode(params), content_type=_FORM, headers=headers
            )
            if answer.status_code not in _BUSY:
                break
            time.sleep(0.5)
        body: dict[str, Any] = json.loads(answer.content)
        if answer.status_code not in (200, 402):
            raise RuntimeError(f"{path} answered {answer.status_code}: {body}")
        return body

    def get(self, path: str) -> dict[str, Any]:
        """What the API answers to a request that reads."""
        headers = {"authorization": f"Bearer {self.secret_key}"}
        answer = self.client.get(f"/v1/{path}", headers=headers)
        body: dict[str, Any] = json.loads(answer.content)
        if answer.status_code != 200:
            raise RuntimeError(f"{path} answered {answer.status_code}: {body}")
        return body

    def pay(self, units: int = 40, *, method: str = "pm_card_visa", **params: Any) -> str:
        """Create and confirm a payment; its public id."""
        self.orders.append(f"order-{new_word()}")
        params = {
            "amount": units * UNIT_MINOR,
            "currency": self.currency.lower(),
            "payment_method": method,
            "confirm": "true",
            "description": f"Order {self.orders[-1]}",
            "metadata[order_id]": self.orders[-1],
            **params,
        }
        answer = self.post("payment_intents", **{k: v for k, v in params.items() if v != ""})
        declined = answer.get("error", {}).get("payment_intent", {})
        self.intents.append(answer.get("id") or declined["id"])
        return self.intents[-1]

    def customer(self) -> str:
        """Create a customer with an address; its public id."""
        word = new_word()
        made = self.post(
            "customers",
            **{
                "name": f"Ada {word}",
                "email": f"{word}@example.com",
                "phone": "555-0100",
                "address[line1]": "1 Main Street",
                "address[country]": "US",
            },
        )
        self.customers.append(made["id"])
        return self.customers[-1]

    def saved_card(self, customer: str, method: str = "pm_card_mastercard") -> str:
        """Attach a card to a customer; its public id."""
        return str(self.post(f"payment_methods/{method}/attach", customer=customer)["id"])

    def answer_challenge(self, verb: str = "complete") -> None:
        """The customer passes the challenge of the last payment on the page of the bank."""
        intent = self.get(f"payment_intents/{self.intents[-1]}")
        url = intent["next_action"]["redirect_to_url"]["url"]
        request = urllib.request.Request(
            f"{url}/{verb}", data=b"", method="POST", headers={"Accept": "application/json"}
        )
        opener = urllib.request.build_opener(_StayHere)
        try:
            opener.open(request, timeout=_TIMEOUT_SECONDS).close()
        except urllib.error.HTTPError as answer:
            if answer.code != 303:
                raise

    def open_dispute(self, **more: Any) -> str:
        """The bank disputes the last payment; the dispute's id at the PSP."""
        body = {"order_id": self.orders[-1], **more}
        return str(self.psp.control("POST", "disputes", body)["id"])

    def decide(self, psp_dispute_id: str, move: str) -> None:
        """The bank decides: win, lose, close …"""
        self.psp.control("POST", f"disputes/{psp_dispute_id}/{move}", {})

    def disputes(self) -> list[str]:
        """The public ids of the disputes of its payments."""
        from payments import public_ids
        from payments.models import Dispute

        ids = [public_ids.decode(public_ids.PAYMENT_INTENT, each) for each in self.intents]
        return [each.public_id for each in Dispute.objects.filter(intent_id__in=ids)]


class _StayHere(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def settle(psp: Psp, received: Inbox, *, account_code: str) -> None:
    """Do what the background does until nothing is left: notifications, deadlines, deliveries."""
    from payments.models import PspNotification
    from payments.services.psp_notifications.processing import process_due_notifications
    from payments.services.psp_notifications.receiving import receive_notifications
    from payments.services.recovery.sweep import resolve_due_operations
    from psp_adapters.contract.notifications import WebhookRequest

    end = time.monotonic() + _SETTLED_WITHIN_SECONDS
    waiting = PspNotification.objects.filter(
        psp_account__code=account_code, next_attempt_at__isnull=False
    )
    while True:
        is_quiet = psp.has_sent_all()
        for headers, body in received.take():
            came = WebhookRequest(headers=headers, body=body)
            receive_notifications(came, account_code=account_code)
        waiting.update(next_attempt_at=_LONG_AGO)
        process_due_notifications()
        resolve_due_operations()
        left = list(waiting.values_list("type", "last_error"))
        if is_quiet and not received.notifications and not left:
            break
        if time.monotonic() > end:
            raise RuntimeError(f"these notifications of the PSP could not be processed: {left}")
        time.sleep(_POLL_SECONDS)
    _act_on_deadlines()
    _deliver()


def _act_on_deadlines() -> None:
    """As a worker does within the hour: rows of payments that no longer wait are deleted."""
    from payments.clock import now_utc
    from payments.models import Deadline
    from payments.services.automatic_actions.sweep import act_on_due_deadlines

    Deadline.objects.filter(warned_for__isnull=True).update(next_action_at=now_utc())
    act_on_due_deadlines()


def _deliver() -> None:
    """Fan out and attempt everything, as the relay does."""
    from payments.models import WebhookEndpoint
    from payments.services.egress.http_client import HttpClient
    from payments.services.egress.url_policy import policy_of_settings
    from payments.services.merchant_webhooks import attempt_results, leasing
    from payments.services.merchant_webhooks.attempt import attempt_delivery
    from payments.services.merchant_webhooks.fan_out import fan_out_due

    while fan_out_due().events:
        pass
    client = HttpClient(policy_of_settings())
    while due := [key for key, is_due in leasing.endpoints_with_work().items() if is_due]:
        leased = leasing.lease(dict.fromkeys(due, 50), WebhookEndpoint.objects.in_bulk(due))
        attempt_results.record_results([attempt_delivery(each, client) for each in leased])
