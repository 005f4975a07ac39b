"""Makes one POST to a merchant's URL: resolve once, check every address, connect to one of those.

Bounded in time (also against a response of one byte a second) and in size. No redirects, no proxy
from the environment, no decompression; each request uses its own connection.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.util.ssl_ import create_urllib3_context

from payments.services.egress.dns import BoundedResolver, Resolver, resolve
from payments.services.egress.ip_policy import Address, is_callable, is_this_machine
from payments.services.egress.url_policy import Target, TargetRefused, UrlPolicy, target_of
from psp_adapters.deadline_sockets import (
    DeadlineSslSocket,
    seconds_left,
    shorten_deadline,
    start_deadline,
    with_deadline,
)

BODY_BYTES_MAX: Final = 64 * 1024
_BODY_SECONDS: Final = 2.0
"""The status has decided by then: an endless body must not hold a thread for long."""
_RESOLVE_SECONDS: Final = 5.0
_CONNECT_SECONDS: Final = 5.0
_ADDRESSES_MAX: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The result of a request; without `status` there was no response."""

    status: int | None = None
    error: str = ""
    """Why there is no response; our own text, without any from the other side."""
    body: bytes = b""
    duration_ms: int = 0


class _NotCalled(Exception):
    """No connection was made; the text says why."""


def _connected(addresses: Sequence[Address], port: int) -> socket.socket:
    """A socket to the first of these addresses that accepts a connection."""
    failure: OSError = OSError("no address")
    for address in addresses:
        timeout = min(_CONNECT_SECONDS, seconds_left())
        try:
            plain = socket.create_connection((str(address), port), timeout=timeout)
        except OSError as error:
            failure = error
            continue
        bounded = with_deadline(plain)
        bounded.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return bounded
    raise failure


class _Http(HTTPConnection):
    """Sends the URL's host in its headers, but connects only to the checked addresses."""

    pinned: Sequence[Address] = ()

    def _new_conn(self) -> socket.socket:
        return _connected(self.pinned, self.port)


class _Https(HTTPSConnection):
    """The same, with the host's name for SNI and certificate verification."""

    pinned: Sequence[Address] = ()

    def _new_conn(self) -> socket.socket:
        return _connected(self.pinned, self.port)


class HttpClient:
    """Posts to merchants' URLs under one policy; thread-safe."""

    def __init__(self, policy: UrlPolicy, *, resolver: Resolver = resolve) -> None:
        self._policy = policy
        self._resolver = BoundedResolver(resolver)

    def post(
        self, url: str, *, body: bytes, headers: Mapping[str, str], deadline_seconds: float
    ) -> Reply:
        """Post once and return the result; never raises.

        `deadline_seconds` covers everything, from name resolution to the last byte read. Only the
        status decides: a truncated body changes nothing.
        """
        began = time.monotonic()
        start_deadline(deadline_seconds)
        status, error, text = None, "", b""
        try:
            target = target_of(url, self._policy)
            addresses = self._checked_addresses(target)
            status, text = self._exchange(target, addresses, body, headers)
        except TargetRefused as refusal:
            error = f"not called: {refusal}"
        except _NotCalled as refusal:
            error = str(refusal)
        except (HTTPError, http.client.HTTPException, OSError, ValueError) as failure:
            error = _plain_error(failure)
        duration_ms = int((time.monotonic() - began) * 1000)
        return Reply(status=status, error=error, body=text, duration_ms=duration_ms)

    def _checked_addresses(self, target: Target) -> Sequence[Address]:
        """Resolve once; one address that may not be called refuses the whole name."""
        if target.address is not None:
            addresses: Sequence[Address] = [target.address]
        else:
            within = min(_RESOLVE_SECONDS, seconds_left())
            try:
                addresses = self._resolver.addresses_of(
                    target.host, target.port, within_seconds=within
                )
            except TimeoutError:
                raise _NotCalled("the host's name could not be resolved in time") from None
            except (OSError, ValueError):
                raise _NotCalled("the host's name could not be resolved") from None
        if not addresses or not all(self._may_call(each, target) for each in addresses):
            raise _NotCalled("not called: the host's name leads to an address that is not public")
        return addresses[:_ADDRESSES_MAX]

    def _may_call(self, address: Address, target: Target) -> bool:
        if target.is_loopback:  # true only where the policy allows loopback
            return is_this_machine(address)
        return is_callable(address, also_denied=self._policy.denied_networks)

    def _exchange(
        self,
        target: Target,
        addresses: Sequence[Address],
        body: bytes,
        headers: Mapping[str, str],
    ) -> tuple[int, bytes]:
        connection: Any
        if target.scheme == "https":
            context = _tls_context(self._policy.ca_file)
            connection = _Https(target.host, target.port, ssl_context=context)
        else:
            connection = _Http(target.host, target.port)
        connection.pinned = addresses
        try:
            connection.request(
                "POST",
                target.path,
                body=body,
                headers={**headers, "Accept-Encoding": "identity", "Connection": "close"},
                preload_content=False,
                decode_content=False,
            )
            response = connection.getresponse()
            return int(response.status), _beginning_of(response)
        finally:
            connection.close()


def _beginning_of(response: Any) -> bytes:
    """At most 64 kB of the body, as far as it arrives in time; errors are ignored."""
    shorten_deadline(_BODY_SECONDS)
    pieces: list[bytes] = []
    size = 0
    try:
        while size < BODY_BYTES_MAX:
            piece = response.read1(BODY_BYTES_MAX - size)
            if not piece:
                break
            pieces.append(piece)
            size += len(piece)
    except (HTTPError, http.client.HTTPException, OSError, ValueError):
        pieces.append(b"")  # what arrived until then is kept
    finally:
        response.close()
    return b"".join(pieces)


@lru_cache(maxsize=4)
def _tls_context(ca_file: str) -> ssl.SSLContext:
    context = create_urllib3_context()
    context.sslsocket_class = DeadlineSslSocket
    context.load_default_certs()
    if ca_file:
        context.load_verify_locations(ca_file)
    context.verify_mode = ssl.CERT_REQUIRED
    context.check_hostname = True
    return context


def _plain_error(failure: Exception) -> str:
    """What went wrong, without any text of the other side or of the system."""
    if isinstance(failure, ssl.SSLCertVerificationError):
        return "the certificate is not valid for this host"
    if isinstance(failure, ssl.SSLError):
        return "the TLS handshake failed"
    if isinstance(failure, TimeoutError):
        return "no answer in time"
    if isinstance(failure, ConnectionRefusedError):
        return "the connection was refused"
    if isinstance(failure, http.client.HTTPException | ConnectionError):
        return "the connection was closed before there was an answer"
    return "the host could not be reached"
