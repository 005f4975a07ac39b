"""A webhook receiver for tests: keeps every request, and answers with a set status."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

SECRET = "a secret of the tests 0123456789"


@dataclass(frozen=True)
class Delivery:
    """One request as it came."""

    headers: dict[str, str]
    body: bytes

    @property
    def notice(self) -> dict[str, Any]:
        decoded: dict[str, Any] = json.loads(self.body)
        return decoded

    @property
    def type(self) -> str:
        return str(self.notice["type"])


class Receiver:
    """Listens on a free port of this machine; usable as a context manager."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self.status = 200
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hook"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    def types(self) -> list[str]:
        """The types of what came, in order."""
        return [delivery.type for delivery in self.deliveries]

    def wait_until(
        self, enough: Callable[[list[Delivery]], bool], within_seconds: float = 8
    ) -> list[Delivery]:
        """What came, once it is enough; fails after a while."""
        end = time.monotonic() + within_seconds
        while not enough(self.deliveries):
            assert time.monotonic() < end, f"only {[d.body for d in self.deliveries]}"
            time.sleep(0.01)
        return list(self.deliveries)

    def wait_for(self, number: int) -> list[Delivery]:
        """At least so many deliveries."""
        return self.wait_until(lambda deliveries: len(deliveries) >= number)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.deliveries.append(Delivery(dict(self.headers.items()), body))
                self.send_response(receiver.status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_: Any) -> None:
                """Silent."""

        return Handler

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
