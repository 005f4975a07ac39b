"""One client's HTTP: kept-alive connections to every server, one request at a time."""

from __future__ import annotations

import http.client
import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

from paymentsite.launcher.ports import HOST


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What came back."""

    status: int
    body: bytes
    replayed: bool
    should_retry: bool | None

    @property
    def sha256(self) -> str:
        return sha256(self.body).hexdigest()[:20]

    def json(self) -> dict[str, Any]:
        """The body; raises ValueError when it is not a JSON object."""
        content = json.loads(self.body)
        if not isinstance(content, dict):
            raise ValueError("the body is no object")
        return content


class HttpClient:
    """Not for several threads at once."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = ports
        self._open: dict[int, http.client.HTTPConnection] = {}

    def send(
        self,
        server: int,
        method: str,
        path: str,
        *,
        secret_key: str,
        parameters: dict[str, str] | None = None,
        idempotency_key: str = "",
        timeout_seconds: float = 10.0,
        wait_seconds: float | None = None,
    ) -> HttpAnswer:
        """One request; raises OSError or HTTPException when no whole answer comes in time."""
        headers = {"Authorization": f"Bearer {secret_key}", "Accept": "*/*"}
        if idempotency_key:
            headers["Idempotency-Key"] = idempotency_key
        if wait_seconds is not None:
            headers["Prefer"] = f"wait={wait_seconds:g}"
        body = None
        if method == "POST":
            body = urlencode(parameters or {})
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        elif parameters:
            path = f"{path}?{urlencode(parameters)}"
        connection = self._open.get(server) or http.client.HTTPConnection(HOST, self._ports[server])
        self._open[server] = connection
        connection.timeout = timeout_seconds
        if connection.sock is not None:
            connection.sock.settimeout(timeout_seconds)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            text = answer.read()
        except BaseException:
            self._open.pop(server).close()
            raise
        retry = answer.getheader("Stripe-Should-Retry")
        return HttpAnswer(
            status=answer.status,
            body=text,
            replayed=answer.getheader("Idempotent-Replayed") == "true",
            should_retry=None if retry is None else retry == "true",
        )

    def close(self) -> None:
        """Close idle connections."""
        for connection in self._open.values():
            connection.close()
        self._open.clear()
