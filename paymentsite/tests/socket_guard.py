"""No network inside a transaction: a test fails when Python talks to a socket while one is open.

PostgreSQL's own traffic does not pass here: libpq does not use Python's sockets.
"""

from __future__ import annotations

import functools
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection

_GUARDED = ("connect", "connect_ex", "send", "sendall")
_NETWORK = (socket.AF_INET, socket.AF_INET6)


class NetworkInsideTransaction(AssertionError):
    """A call over the network would hold a row's lock for as long as somebody else likes."""


@pytest.fixture(autouse=True)
def no_network_inside_a_transaction(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Raise at the call, and fail the test afterwards in case the code swallowed it."""
    seen: list[str] = []
    for name in _GUARDED:
        monkeypatch.setattr(socket.socket, name, _guarded(name, seen))
    yield seen
    if seen:
        pytest.fail("network inside a transaction: " + "; ".join(seen))


def _guarded(name: str, seen: list[str]) -> Any:
    original = getattr(socket.socket, name)

    @functools.wraps(original)
    def call(self: socket.socket, *args: Any, **kwargs: Any) -> Any:
        if self.family in _NETWORK and connection.in_atomic_block:
            what = f"socket.{name} to {args[0] if name.startswith('connect') else 'its peer'}"
            seen.append(what)
            raise NetworkInsideTransaction(what)
        return original(self, *args, **kwargs)

    return call
