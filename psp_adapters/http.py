"""Sends HTTP requests to PSPs: bounded in time and size, never retried, never logged.

No exception raised here carries an address, a header, a key or a body.

NotSent and AnswerUnknown differ in whether a byte left this machine. The
connection records that before it writes to the socket. A kept-alive connection that the
server has closed, or that was idle for long, is reopened before use. A server can still close it
between that check and our write: that is AnswerUnknown, since it may have read the request.

Not bounded: the system's name resolution (getaddrinfo takes no deadline). A host with several dead
addresses is given the connect timeout once for each.
"""

from __future__ import annotations

import logging
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, BinaryIO, Final
from urllib.parse import urlsplit

import orjson
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.util.ssl_ import create_urllib3_context

from psp_adapters.deadline_sockets import (
    DeadlineSslSocket,
    seconds_left,
    start_deadline,
    with_deadline,
)

CONNECT_SECONDS: Final = 2.0
READ_SECONDS: Final = 8.0
"""The longest wait for the next bytes; the caller's deadline may end it earlier."""
_IDLE_SECONDS: Final = 15.0
MAX_BODY_BYTES: Final = 1024 * 1024
"""The largest answer that is read, unless the caller allows a larger one."""
_POOL_SIZE: Final = 300
_PIECE_BYTES: Final = 256 * 1024

# It would log addresses and parts of answers.
logging.getLogger("urllib3.connection").setLevel(logging.CRITICAL)


class NotSent(Exception):
    """Certainly no byte of the request left us."""


class AnswerUnknown(Exception):
    """The request may have arrived, and there is no whole answer to it."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A whole answer; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The decoded body; raises AnswerUnknown if it is not JSON."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            raise AnswerUnknown("the answer is not JSON") from None


class _Exchange(threading.local):
    """The request that this thread is making, and whether it may have begun to leave."""

    may_have_left: bool = False
    body_follows: bool = False
    """The head waits for the body, so that both leave in one packet and wake the server once."""
    head: bytes = b""


_exchange = _Exchange()


def _ready_to_send(connection: HTTPConnection, data: bytes) -> bytes | None:
    """What to put on the wire now, connected; None while the body is still to come.

    Notes that the request may have left. Raises TimeoutError if the deadline has passed before.
    """
    if _exchange.body_follows:
        _exchange.body_follows = False
        _exchange.head = data
        return None
    head, _exchange.head = _exchange.head, b""
    if connection.sock is None:
        connection.connect()
    seconds_left()
    _exchange.may_have_left = True
    return head + data


class _Connection(HTTPConnection):
    idle_since: float = 0.0

    def _new_conn(self) -> socket.socket:
        return with_deadline(super()._new_conn())

    def send(self, data: Any) -> None:
        if (whole := _ready_to_send(self, data)) is not None:
            super().send(whole)


class _SslConnection(HTTPSConnection):
    idle_since: float = 0.0

    def send(self, data: Any) -> None:
        if (whole := _ready_to_send(self, data)) is not None:
            super().send(whole)


class _Pool(urllib3.HTTPConnectionPool):
    """Reopens connections that were idle for long: the server may be about to close them."""

    ConnectionCls: Any = _Connection

    def _get_conn(self, timeout: float | None = None) -> Any:
        connection: Any = super()._get_conn(timeout)
        if time.monotonic() - connection.idle_since > _IDLE_SECONDS:
            connection.close()  # reopened by the next send; new ones are not open yet
        return connection

    def _put_conn(self, conn: Any) -> None:
        if conn is not None:
            conn.idle_since = time.monotonic()
        super()._put_conn(conn)


class _SslPool(_Pool, urllib3.HTTPSConnectionPool):
    ConnectionCls: Any = _SslConnection


@cache
def _tls_context() -> ssl.SSLContext:
    """One for all PSPs: reading the system's certificates takes some 30 ms."""
    context = create_urllib3_context()
    context.sslsocket_class = DeadlineSslSocket
    context.load_default_certs()
    return context


class PspHttp:
    """Requests to one PSP under one base URL, from any number of threads."""

    def __init__(self, base_url: str, headers: Mapping[str, str]) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("a PSP's base URL starts with http:// or https:// and names a host")
        self._prefix = parts.path.rstrip("/")
        self._headers = {"Accept-Encoding": "identity", **headers}
        self._pool: urllib3.HTTPConnectionPool
        if parts.scheme == "https":
            self._pool = _SslPool(
                parts.hostname,
                parts.port,
                maxsize=_POOL_SIZE,
                block=False,
                ssl_context=_tls_context(),
                cert_reqs="CERT_REQUIRED",
            )
        else:
            self._pool = _Pool(parts.hostname, parts.port, maxsize=_POOL_SIZE, block=False)

    def send(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        form: str | None = None,
        headers: Mapping[str, str] | None = None,
        deadline_seconds: float,
        max_body_bytes: int = MAX_BODY_BYTES,
        into: BinaryIO | None = None,
    ) -> HttpAnswer:
        """Make one request and read its whole answer, whatever its status, redirects included.

        The body is `json`, or `form` as it is encoded already, or none.
        `deadline_seconds` covers everything from connect to the last byte. Raises NotSent or
        AnswerUnknown, also for an answer of more than `max_body_bytes`. With `into`, the body of
        the answer is written there as it comes.
        """
        start_deadline(deadline_seconds, read_seconds=READ_SECONDS)
        _exchange.may_have_left = False
        _exchange.body_follows = json is not None or bool(form)
        _exchange.head = b""
        all_headers = {**self._headers, **headers} if headers else dict(self._headers)
        body = form.encode() if form else None
        if form:
            all_headers["Content-Type"] = "application/x-www-form-urlencoded"
        if json is not None:
            body = orjson.dumps(json)
            all_headers["Content-Type"] = "application/json"
        try:
            response = self._open(method, self._prefix + path, body, all_headers)
            return _whole_answer(response, max_body_bytes, into)
        except (HTTPError, OSError) as error:
            # The exceptions' own texts name the host and may quote what was read.
            reason = type(error).__name__
        if _exchange.may_have_left:
            raise AnswerUnknown(reason)
        raise NotSent(reason)

    def close(self) -> None:
        """Close the idle connections."""
        self._pool.close()

    def _open(
        self, method: str, target: str, body: bytes | None, headers: dict[str, str]
    ) -> urllib3.BaseHTTPResponse:
        left = seconds_left()
        return self._pool.urlopen(
            method,
            target,
            body=body,
            headers=headers,
            retries=False,
            redirect=False,
            assert_same_host=False,
            timeout=urllib3.Timeout(
                connect=min(CONNECT_SECONDS, left), read=min(READ_SECONDS, left)
            ),
            preload_content=False,
            decode_content=False,
        )


def _whole_answer(
    response: urllib3.BaseHTTPResponse, max_body_bytes: int, into: BinaryIO | None
) -> HttpAnswer:
    try:
        if response.length_remaining is None and not response.chunked:
            # Without an announced end, a cut answer looks like a whole one.
            raise urllib3.exceptions.ResponseError("no length announced")
        content, size = b"", 0
        if into is None:
            content = response.read(max_body_bytes + 1)
            size = len(content)
        else:
            while size <= max_body_bytes and (piece := response.read(_PIECE_BYTES)):
                size += into.write(piece)
        if size > max_body_bytes:
            raise urllib3.exceptions.ResponseError("answer too large")
        if response.length_remaining:
            # A bounded read does not complain about a body shorter than announced.
            raise urllib3.exceptions.ResponseError("answer cut short")
    except BaseException:
        response.close()  # half an answer must not be found by the next request
        raise
    response.release_conn()
    names = {name.lower(): value for name, value in response.headers.items()}
    return HttpAnswer(response.status, names, content)
