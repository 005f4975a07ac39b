"""Sockets whose reads and writes together end by one deadline, set per thread.

A socket's own timeout starts anew with every read, so an answer of one byte a second would never
end. The PSP client and the merchant webhook client both use these.
"""

from __future__ import annotations

import math
import socket
import ssl
import threading
import time
from typing import Any


class _Deadline(threading.local):
    """The deadline of the request that this thread is making."""

    at: float = 0.0
    read_seconds: float = math.inf


_deadline = _Deadline()


def start_deadline(seconds: float, *, read_seconds: float = math.inf) -> None:
    """Give this thread's next request `seconds` in total, and each read at most `read_seconds`."""
    _deadline.at = time.monotonic() + seconds
    _deadline.read_seconds = read_seconds


def shorten_deadline(seconds: float) -> None:
    """End this thread's request after `seconds`, unless its deadline is earlier."""
    _deadline.at = min(_deadline.at, time.monotonic() + seconds)


def seconds_left() -> float:
    """What is left of this thread's deadline. Raises TimeoutError if nothing is."""
    left = _deadline.at - time.monotonic()
    if left <= 0:
        raise TimeoutError("deadline passed")
    return left


class DeadlineSocket(socket.socket):
    """A plain socket under the thread's deadline."""

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        self.settimeout(min(_deadline.read_seconds, seconds_left()))
        return super().recv_into(*args, **kwargs)

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        self.settimeout(seconds_left())
        super().sendall(*args, **kwargs)


class DeadlineSslSocket(ssl.SSLSocket):
    """A TLS socket under the thread's deadline; `sendall` calls `send`."""

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        self.settimeout(min(_deadline.read_seconds, seconds_left()))
        return super().recv_into(*args, **kwargs)

    def send(self, *args: Any, **kwargs: Any) -> int:
        self.settimeout(seconds_left())
        return super().send(*args, **kwargs)


def with_deadline(plain: socket.socket) -> DeadlineSocket:
    """The same connection under the thread's deadline; `plain` may not be used any more."""
    timeout = plain.gettimeout()
    bounded = DeadlineSocket(fileno=plain.detach())
    bounded.settimeout(timeout)
    return bounded
