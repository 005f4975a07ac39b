"""Raw HTTP: requests that no SDK would send, and every byte and header of the answer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit

from stripe._encode import _api_encode

from paymentsite.tests.fixtures.described_answers import check_answer

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"

Headers = Iterable[tuple[str, str]]


@dataclass(frozen=True)
class Reply:
    """One answer, whole; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        error: dict[str, Any] = self.json["error"]
        return error

    @property
    def refusal(self) -> tuple[int, str | None, str | None]:
        """Status, code and parameter of an error."""
        return self.status, self.error.get("code"), self.error.get("param")


@dataclass(frozen=True)
class Wire:
    """Sends requests with this key, each on a connection of its own."""

    base_url: str
    key: str = ""

    def send(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Headers = (),
        *,
        timeout_seconds: float = 30,
    ) -> Reply:
        """One request exactly as given; nothing is added but Host and Content-Length."""
        address = urlsplit(self.base_url)
        connection = HTTPConnection(str(address.hostname), address.port, timeout=timeout_seconds)
        try:
            connection.putrequest(method, path, skip_accept_encoding=True)
            for name, value in headers:
                connection.putheader(name, value.encode("latin-1"))
            if body or method == "POST":
                connection.putheader("Content-Length", str(len(body)))
            # Who refuses a body may answer and close before it has come whole (RFC 9112, 9.5): then
            # sending fails, and the answer is there all the same.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.endheaders(body or None)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            reply = Reply(answer.status, found, answer.read())
        finally:
            connection.close()
        if path.startswith("/v1/") and found.get("content-type") == JSON and method != "HEAD":
            check_answer(method, unquote(path.partition("?")[0]), reply.status, reply.body)
        return reply

    def get(self, path: str, **query: Any) -> Reply:
        """GET with this key."""
        target = f"{path}?{urlencode(list(_api_encode(query)))}" if query else path
        return self.send("GET", target, headers=self._headers())

    def delete(self, path: str) -> Reply:
        """DELETE with this key."""
        return self.send("DELETE", path, headers=self._headers())

    def post(
        self,
        path: str,
        parameters: Mapping[str, Any] | bytes = b"",
        *,
        key: str = "",
        media_type: str = FORM,
        headers: Headers = (),
    ) -> Reply:
        """POST with this key: a form as the SDKs write it, JSON, or these very bytes."""
        more = [("Idempotency-Key", key)] if key else []
        return self.send(
            "POST",
            path,
            encoded(parameters, media_type),
            [*self._headers(), ("Content-Type", media_type), *more, *headers],
        )

    def _headers(self) -> list[tuple[str, str]]:
        return [("Authorization", f"Bearer {self.key}")] if self.key else []


def encoded(parameters: Mapping[str, Any] | bytes, media_type: str) -> bytes:
    """The body of these parameters in this media type; bytes as they are."""
    if isinstance(parameters, bytes):
        return parameters
    if media_type == JSON:
        return json.dumps(parameters).encode()
    return urlencode(list(_api_encode(dict(parameters)))).encode()
