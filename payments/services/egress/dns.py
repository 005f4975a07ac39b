"""Names looked up in bounded time; a name whose servers hang holds up no other name.

A lookup that is running cannot be ended, so there is one of a name at a time, which whoever asks
meanwhile waits for too. What may not live here: which addresses may be called.
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
"""Names at once. The system's resolver gives up by itself after 5 to 30 seconds."""


def resolve(host: str, port: int) -> Sequence[Address]:
    """Every address of a name, as this machine's resolver knows it now; raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(ip_address(entry[4][0]) for entry in found))


class Lookups:
    """Lookups under way; from any number of threads."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        # Threads are made when there is work for them.
        self._threads = ThreadPoolExecutor(LOOKUPS_MAX, thread_name_prefix="lookup")
        self._under_way: dict[tuple[str, int], Future[Sequence[Address]]] = {}
        self._lock = Lock()

    def addresses_of(self, host: str, port: int, *, within_seconds: float) -> Sequence[Address]:
        """Every address of a name; raises TimeoutError, or what the resolver raises."""
        with self._lock:
            under_way = self._under_way.get((host, port))
            if under_way is None:
                under_way = self._threads.submit(self._look_up, host, port)
                self._under_way[host, port] = under_way
        return under_way.result(timeout=within_seconds)

    def _look_up(self, host: str, port: int) -> Sequence[Address]:
        try:
            return self._resolver(host, port)
        finally:
            with self._lock:
                del self._under_way[host, port]
