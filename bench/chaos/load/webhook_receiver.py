"""A receiver of the merchants' webhooks that sometimes fails, and stores all that it received.

One address per merchant.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from bench.chaos.load.http_client import HttpClient
from paymentsite.launcher.ports import HOST

_FAILS, _HANGS, _CUTS = 0.05, 0.02, 0.01
HANG_SECONDS: Final = 20.0
"""Longer than the timeout of a delivery (15 s)."""
_ANSWER: Final = b'{"received": true}'


@dataclass(frozen=True, slots=True)
class ReceivedWebhook:
    """One request, as it came and as it was answered; in the order of arrival."""

    at: float
    merchant: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    answer: str
    """`ok`, `500`, `hang` or `cut` (after the 200)."""


@dataclass(slots=True)
class WebhookReceiver:
    """The server; every answer is drawn from the seed."""

    seed: int
    fails: float = _FAILS
    hangs: float = _HANGS
    cuts: float = _CUTS
    hang_seconds: float = HANG_SECONDS
    received: list[ReceivedWebhook] = field(default_factory=list)
    port: int = 0
    accepts_all: bool = False
    """Set after the end of the faults: every request is answered 200."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _random: random.Random = field(init=False)
    _end: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._random = random.Random(f"sink {self.seed}")

    def url(self, merchant: int) -> str:
        """Where a merchant listens."""
        return f"http://{HOST}:{self.port}/{merchant}"

    def end_faults(self) -> None:
        """Answer 200 from now on, and end what hangs."""
        self.accepts_all = True
        self._end.set()

    @contextmanager
    def listening(self) -> Iterator[WebhookReceiver]:
        """Listen inside the block."""
        server = _Server((HOST, 0), _handler_of(self))
        self.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._end.set()
            server.shutdown()
            server.server_close()
            thread.join()

    def receive(self, merchant: int, headers: Mapping[str, str], body: bytes) -> str:
        """Store a request, and draw its answer; any thread."""
        with self._lock:
            answer = self._draw()
            self.received.append(ReceivedWebhook(time.time(), merchant, headers, body, answer))
        if answer == "hang":
            self._end.wait(self.hang_seconds)
        return answer

    def _draw(self) -> str:
        if self.accepts_all:
            return "ok"
        draw = self._random.random()
        for answer, share in (("500", self.fails), ("hang", self.hangs), ("cut", self.cuts)):
            if draw < share:
                return answer
            draw -= share
        return "ok"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def _handler_of(receiver: WebhookReceiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            body = self.rfile.read(length)
            if len(body) < length:  # the sender was killed: an incomplete request is refused
                self.close_connection = True
                return
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = receiver.receive(int(self.path.strip("/")), headers, body)
            if answer == "hang":
                self.close_connection = True
                return
            self.send_response(500 if answer == "500" else 200)
            self.send_header("Content-Length", str(len(_ANSWER)))
            self.end_headers()
            if answer == "cut":
                self.close_connection = True
                return
            self.wfile.write(_ANSWER)

        def log_message(self, *_: object) -> None:
            """Silent."""

    return Handler


def subscribe(client: HttpClient, *, secret_key: str, url: str) -> str:
    """Subscribe a merchant to all events at this address; returns the signing secret."""
    answer = client.send(
        0,
        "POST",
        "/v1/webhook_endpoints",
        secret_key=secret_key,
        parameters={"url": url, "enabled_events[0]": "*"},
        idempotency_key=f"subscribe-{url}",
    )
    if answer.status != 200:
        raise ValueError(f"the endpoint was refused: {answer.status} {answer.body!r}")
    secret: str = answer.json()["secret"]
    return secret
