"""Resolves names in bounded time; a name whose servers hang delays no other name.

A running look-up cannot be canceled, so there is one per name at a time; concurrent callers
share it.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from ipaddress import ip_address
from threading import Lock
from typing import Final

from payments.services.egress.ip_policy import Address

Resolver = Callable[[str, int], Sequence[Address]]

LOOKUPS_MAX: Final = 256
"""Concurrent look-ups. The system's resolver gives up by itself after 5 to 30 seconds."""


def resolve(host: str, port: int) -> Sequence[Address]:
    """Every address of a name, by this machine's resolver. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(ip_address(entry[4][0]) for entry in found))


class BoundedResolver:
    """Looks names up within a deadline; thread-safe."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        # Threads are made when there is work for them.
        self._threads = ThreadPoolExecutor(LOOKUPS_MAX, thread_name_prefix="lookup")
        self._in_flight: dict[tuple[str, int], Future[Sequence[Address]]] = {}
        self._lock = Lock()

    def addresses_of(self, host: str, port: int, *, within_seconds: float) -> Sequence[Address]:
        """Every address of a name. Raises TimeoutError, or what the resolver raises."""
        with self._lock:
            lookup = self._in_flight.get((host, port))
            if lookup is None:
                lookup = self._threads.submit(self._look_up, host, port)
                self._in_flight[host, port] = lookup
        return lookup.result(timeout=within_seconds)

    def _look_up(self, host: str, port: int) -> Sequence[Address]:
        try:
            return self._resolver(host, port)
        finally:
            with self._lock:
                del self._in_flight[host, port]
