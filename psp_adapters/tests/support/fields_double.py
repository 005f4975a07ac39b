"""A double of the scripts by which PSPs bring their card fields, on an origin of its own.

The scripts are ours: they speak the part of each PSP's documented surface that the drivers use, and
refuse wrong use of it. What the PSPs' real scripts load and need is not shown by them.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from psp_adapters.adyen.page_fields import VERSION

_FOLDER: Final = Path(__file__).parent / "fields"
_ADYEN: Final = f"/checkoutshopper/sdk/{VERSION}"
_SCRIPTS: Final = {
    "/v3/": "stripe.js",
    "/v1/mollie.js": "mollie.js",
    f"{_ADYEN}/adyen.js": "adyen.js",
}


class FieldsDouble:
    """Listens on loopback; usable as a context manager.

    `token_of` makes the PSP's token of a card number, or raises ValueError with what the customer
    reads.
    """

    def __init__(self, token_of: Callable[[str], str]) -> None:
        double = self
        self.token_of = token_of
        self.loaded: list[str] = []
        """The paths that browsers asked for."""
        self.is_down = False

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, kind, body = double._file(self.path)
                self._reply(status, kind, body)

            def do_POST(self) -> None:
                number = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["number"]
                try:
                    made = {"token": double.token_of(number)}
                except ValueError as why:
                    made = {"error": str(why)}
                self._reply(200, "application/json", json.dumps(made).encode())

            def _reply(self, status: int, kind: str, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Keep the output of tests free of requests."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _file(self, path: str) -> tuple[int, str, bytes]:
        self.loaded.append(path)
        if self.is_down:
            return 503, "text/plain", b""
        if path == "/frame":
            return 200, "text/html; charset=utf-8", (_FOLDER / "frame.html").read_bytes()
        if path == f"{_ADYEN}/adyen.css":
            return 200, "text/css", b"#fields{min-height:220px}"
        if path in _SCRIPTS:
            parts = [(_FOLDER / name).read_bytes() for name in ("frame.js", _SCRIPTS[path])]
            return 200, "text/javascript; charset=utf-8", b"".join(parts)
        return 404, "text/plain", b""
