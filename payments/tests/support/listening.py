"""A merchant's webhook address for tests: real HTTP on this machine, and endpoints that name it.

Receivers keep everything that arrives, as it came; each kind answers in its own way.
"""

from __future__ import annotations

import json
import math
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from payments import public_ids, sealing
from payments.models import Delivery, DeliveryAttempt, Event, Merchant, WebhookEndpoint
from payments.public_ids import created_at_of
from payments.services.egress.dns import Resolver, resolve
from payments.services.egress.http_client import HttpClient
from payments.services.egress.url_policy import UrlPolicy, policy_of_settings
from payments.services.merchant_webhooks import attempt_results, leasing, secrets
from payments.services.merchant_webhooks.attempt import attempt_delivery, attempt_in_order
from payments.services.merchant_webhooks.fan_out import fan_out_due

SDK_VERSION = "2026-10-28.endive"
_LEASED_AT_ONCE = 32


@dataclass(frozen=True)
class ReceivedRequest:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def event(self) -> dict[str, Any]:
        decoded: dict[str, Any] = json.loads(self.body)
        return decoded

    @property
    def sequence(self) -> int:
        return int(self.headers["Event-Sequence"])


Answer = Callable[[BaseHTTPRequestHandler], None]


def ok(handler: BaseHTTPRequestHandler, body: bytes = b"ok", status: int = 200) -> None:
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def answering(status: int, **headers: str) -> Answer:
    """Always this status."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


class MerchantServer:
    """Listens on a free port of this machine and keeps what it receives."""

    def __init__(self, answer: Answer = ok, *, context: ssl.SSLContext | None = None) -> None:
        self.requests: list[ReceivedRequest] = []
        self.connections = 0
        self.answer = answer
        self._server = _Server(("127.0.0.1", 0), self._handler(), self, context)
        self.port = self._server.server_address[1]
        self.scheme = "https" if context else "http"
        self.url = f"{self.scheme}://127.0.0.1:{self.port}/hook"
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()

    def events(self) -> list[str]:
        """The types of what was received, in order."""
        return [each.event["type"] for each in self.requests]

    def wait_for(self, number: int, within_seconds: float = 10) -> list[ReceivedRequest]:
        """At least so many requests; fails after a while."""
        end = time.monotonic() + within_seconds
        while len(self.requests) < number:
            assert time.monotonic() < end, f"only {self.events()}"
            time.sleep(0.01)
        return list(self.requests)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                body = self.rfile.read(length)
                if len(body) < length:  # the sender was killed in between: nothing was delivered
                    self.close_connection = True
                    return
                received = ReceivedRequest(self.path, dict(self.headers.items()), body, time.time())
                server.requests.append(received)
                server.answer(self)

            def log_message(self, *_: Any) -> None:
                """Silent."""

        return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self, address: Any, handler: Any, server: MerchantServer, context: ssl.SSLContext | None
    ) -> None:
        super().__init__(address, handler)
        self.server = server
        self.context = context

    def get_request(self) -> Any:
        plain, address = super().get_request()
        self.server.connections += 1
        return plain, address

    def finish_request(self, request: Any, client_address: Any) -> None:
        """TLS here, in the connection's own thread."""
        if self.context is not None:
            try:
                request = self.context.wrap_socket(request, server_side=True)
            except OSError:
                return  # the client did not like our certificate
        with request:
            super().finish_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients of these tests hang up when they have had enough."""


@contextmanager
def listening(answer: Answer = ok, **more: Any) -> Iterator[MerchantServer]:
    server = MerchantServer(answer, **more)
    try:
        yield server
    finally:
        server.close()


def open_endpoint(
    merchant: Merchant,
    url: str,
    *,
    events: tuple[str, ...] = ("*",),
    livemode: bool = False,
    api_version: str = SDK_VERSION,
) -> tuple[WebhookEndpoint, str]:
    """An endpoint, whatever its address, and its secret."""
    secret = secrets.new_secret()
    identifier = public_ids.new_id()
    endpoint = WebhookEndpoint(
        id=identifier,
        merchant=merchant,
        livemode=livemode,
        url=url,
        enabled_events=list(events),
        api_version=api_version,
        sealed_secret=sealing.seal(secret),
        created_at=created_at_of(identifier),
        updated_at=created_at_of(identifier),
    )
    endpoint.save(force_insert=True)
    return endpoint, secret


def http_client(*, resolver: Resolver = resolve, policy: UrlPolicy | None = None) -> HttpClient:
    return HttpClient(policy or policy_of_settings(), resolver=resolver)


def fan_out_all() -> int:
    """Create the deliveries of every event there is, and lease none."""
    total = 0
    while count := fan_out_due().events:
        total += count
    return total


def attempt_due(sender: HttpClient | None = None) -> int:
    """Attempt everything that is due, once, in this thread; returns how many attempts."""
    due = [key for key, is_due in leasing.endpoints_with_work().items() if is_due]
    endpoints = WebhookEndpoint.objects.in_bulk(due)
    return _attempt(leasing.lease(dict.fromkeys(due, _LEASED_AT_ONCE), endpoints), sender)


def deliver_all(sender: HttpClient | None = None) -> None:
    """Fan out, attempt what that leased, and attempt until nothing is due any more."""
    while (done := fan_out_due(lambda _: True)).events:
        _attempt(done.leased, sender)
    while attempt_due(sender):
        pass


def _attempt(leased: Sequence[leasing.Leased], sender: HttpClient | None) -> int:
    """Attempt what is leased and what follows it, however slow the machine is."""
    client = sender or http_client()
    attempts = [
        made
        for each in leased
        for made in attempt_in_order(
            replace(each, leased_at_seconds=math.inf), lambda one: attempt_delivery(one, client)
        )
    ]
    attempt_results.record_results(attempts)
    return len(attempts)


def make_due() -> None:
    """Let time pass: retries that wait, and leases, are due."""
    Delivery.objects.filter(next_attempt_at__isnull=False).update(next_attempt_at=datetime.now(UTC))


def past(days: float) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)


def attempts_of(endpoint: WebhookEndpoint) -> list[DeliveryAttempt]:
    rows = DeliveryAttempt.objects.filter(delivery__endpoint=endpoint)
    return list(rows.order_by("pk"))


def emitted(merchant: Merchant, **kinds: Any) -> list[Event]:
    """The merchant's events, payment by payment in their order."""
    return list(Event.objects.filter(merchant=merchant, **kinds).order_by("aggregateid", "seq"))
