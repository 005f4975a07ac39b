"""A minimal HTTP/1.1 server: keep-alive, Content-Length bodies, limits.

A framework costs more processor time per request than everything else the simulator does. In
benchmarks that time is taken from the platform beside it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, cast

JSON: Final = "application/json"
_MAX_HEAD_BYTES: Final = 16 * 1024
_MAX_BODY_BYTES: Final = 1024 * 1024
_STATUS_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}


@dataclass(slots=True)
class HttpRequest:
    """One request; header names in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class _Unreadable(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def encode_answer(
    status: int, body: bytes, content_type: str, headers: dict[str, str], *, close: bool
) -> bytes:
    """The bytes of one answer."""
    extra = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    if close:
        extra += "Connection: close\r\n"
    head = f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n{extra}\r\n"
    return _STATUS_LINES[status] + head.encode("latin-1") + body


class HttpConnection(asyncio.Protocol):
    """One client connection; requests on it are handled one after the other."""

    def __init__(
        self, handler: Callable[[HttpRequest, HttpConnection], None], open_: set[HttpConnection]
    ) -> None:
        self._handler = handler
        self._open = open_
        self._buffer = b""
        self._busy = False
        self._close_after = False
        self._transport: asyncio.Transport | None = None
        self.peer_is_local = False
        self.peer_port = 0

    @property
    def is_open(self) -> bool:
        return self._transport is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self.peer_is_local = bool(peer) and peer[0] in ("127.0.0.1", "::1", "::ffff:127.0.0.1")
        self.peer_port = peer[1] if peer else 0
        self._open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._open.discard(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._take_requests()

    def reply(
        self,
        status: int,
        body: bytes,
        *,
        content_type: str = JSON,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Answer the current request; without effect if the client has disconnected."""
        if self._transport is None:
            return
        answer = encode_answer(status, body, content_type, headers or {}, close=self._close_after)
        self._transport.write(answer)
        if self._close_after:
            self._transport.close()
            return
        if self._busy:
            self._busy = False
            if self._buffer:
                asyncio.get_running_loop().call_soon(self._take_requests)

    def reply_truncated(self, status: int, body: bytes, *, content_type: str) -> None:
        """Send the head and half of the body, then cut the connection."""
        if self._transport is not None:
            whole = encode_answer(status, body, content_type, {}, close=True)
            self._transport.write(whole[: len(whole) - len(body) // 2 - 1])
            self._transport.close()

    def drop(self) -> None:
        """Reset the connection without an answer."""
        if self._transport is not None:
            self._transport.abort()

    def _take_requests(self) -> None:
        while not self._busy and self._transport is not None:
            try:
                request = self._parse()
            except _Unreadable as error:
                self._close_after = True
                self._busy = True
                message = f'{{"error":{{"type":"invalid_request","message":"{error.message}"}}}}'
                self.reply(error.status, message.encode())
                return
            if request is None:
                return
            self._busy = True
            self._handler(request, self)

    def _parse(self) -> HttpRequest | None:
        """The next whole request of the buffer, or None until more has arrived."""
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > _MAX_HEAD_BYTES:
                raise _Unreadable(431, "header fields too large")
            return None
        if end > _MAX_HEAD_BYTES:
            raise _Unreadable(431, "header fields too large")
        first, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
        parts = first.split(" ")
        if len(parts) != 3 or not parts[2].startswith("HTTP/1.") or not parts[1].startswith("/"):
            raise _Unreadable(400, "not an HTTP/1.1 request")
        headers = {}
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon:
                raise _Unreadable(400, "malformed header field")
            headers[name.lower()] = value.strip()
        if "transfer-encoding" in headers:
            raise _Unreadable(411, "send a Content-Length")
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit() and len(length) < 10):
            raise _Unreadable(400, "bad Content-Length")
        if int(length) > _MAX_BODY_BYTES:
            raise _Unreadable(413, "body too large")
        stop = end + 4 + int(length)
        if len(self._buffer) < stop:
            return None
        body = self._buffer[end + 4 : stop]
        self._buffer = self._buffer[stop:]
        self._close_after = (
            headers.get("connection", "").lower() == "close" or parts[2] == "HTTP/1.0"
        )
        return HttpRequest(parts[0], parts[1], headers, body)
