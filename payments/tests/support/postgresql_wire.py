"""A proxy between the application and PostgreSQL that can cut a connection at a commit.

That is a COMMIT, or a statement outside a transaction that writes. It cuts before the server reads
it, or before the client reads its confirmation; or it cuts every connection.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Literal, Self

from django.db import connections
from psycopg.conninfo import conninfo_to_dict

When = Literal["before the commit", "after the commit"]

_BEGIN: Final = b"BEGIN"
_COMMIT: Final = b"COMMIT\x00"
_QUERY: Final = b"Q"
_PARSE: Final = b"P"
_BIND: Final = b"B"
_READY: Final = b"Z"
_IDLE: Final = b"I"
"""The server's state outside a transaction, as it says when it is ready."""
_WRITES: Final = re.compile(rb"\s*(INSERT|UPDATE|DELETE|WITH)\b")


class CommitCutter:
    """Listens on a free port of this machine; usable as a context manager."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self.cuts = 0
        self._armed: tuple[int, When] | None = None
        self._open = True
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def arm(self, number: int, when: When) -> None:
        """Cut at the commit of this number, counted from now on; once."""
        with self._lock:
            self._armed = (number, when)

    def cut_everything(self) -> None:
        """New connections are closed at once from now on, as by a server that is gone."""
        self._open = False

    def cuts_now(self) -> When | None:
        """Called at each commit: how this one is cut, if it is the one."""
        with self._lock:
            if self._armed is None:
                return None
            number, when = self._armed
            self._armed = (number - 1, when) if number > 1 else None
            if number > 1:
                return None
            self.cuts += 1
            return when

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            if not self._open:
                client.close()
                continue
            threading.Thread(target=_Link(self, client).run, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open = False
        # A thread in accept() would keep the port open.
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()


class _Link:
    """One client's connection and the server's."""

    def __init__(self, cutter: CommitCutter, client: socket.socket) -> None:
        target = conninfo_to_dict(os.environ["DATABASE_URL"])
        self._cutter = cutter
        self._client = client
        self._server = socket.create_connection((str(target["host"]), int(str(target["port"]))))
        self._swallow_next_commit = threading.Event()
        self._is_idle = False
        self._writing: set[bytes] = set()
        """Names of the prepared statements that write."""

    def run(self) -> None:
        """Carry both ways until one side closes."""
        back = threading.Thread(target=self._carry_back, daemon=True)
        back.start()
        try:
            self._carry_out()
        except OSError:
            pass  # one side hung up: so do we
        finally:
            if not self._swallow_next_commit.is_set():
                self._close()
            back.join()

    def _carry_out(self) -> None:
        """From the client to the server, message by message."""
        self._server.sendall(_startup(self._client))
        while True:
            kind, message = _message(self._client)
            if self._commits(kind, message):
                when = self._cutter.cuts_now()
                if when == "before the commit":
                    return
                if when == "after the commit":
                    self._swallow_next_commit.set()
            self._server.sendall(kind + message)

    def _commits(self, kind: bytes, message: bytes) -> bool:
        """Whether the server commits once it has carried out this message."""
        if kind == _BIND:
            _portal, statement = message[4:].split(b"\x00", 2)[:2]
            return self._is_idle and statement in self._writing
        if kind not in (_PARSE, _QUERY):
            return False
        name, text = message[4:].split(b"\x00", 1) if kind == _PARSE else (b"", message[4:])
        writes = _WRITES.match(text) is not None
        if kind == _PARSE:
            (self._writing.add if writes else self._writing.discard)(name)
        if text.startswith(_BEGIN):
            self._is_idle = False  # said before the server is ready, if they go together
        return text.startswith(_COMMIT) or (kind == _QUERY and self._is_idle and writes)

    def _carry_back(self) -> None:
        """From the server to the client; what is swallowed ends the connection."""
        try:
            while True:
                kind, message = _message(self._server)
                if kind == _READY:
                    if self._swallow_next_commit.is_set():
                        return
                    self._is_idle = message.endswith(_IDLE)
                if not self._swallow_next_commit.is_set():
                    self._client.sendall(kind + message)
        except OSError:
            return  # one side hung up: so do we
        finally:
            self._close()

    def _close(self) -> None:
        for each in (self._client, self._server):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)  # wakes the other thread
            each.close()


def _startup(client: socket.socket) -> bytes:
    """The first message has no kind."""
    head = _exactly(client, 4)
    return head + _exactly(client, struct.unpack("!I", head)[0] - 4)


def _message(source: socket.socket) -> tuple[bytes, bytes]:
    kind = _exactly(source, 1)
    head = _exactly(source, 4)
    return kind, head + _exactly(source, struct.unpack("!I", head)[0] - 4)


def _exactly(source: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = source.recv(size - len(parts))
        if not part:
            raise ConnectionResetError("closed")
        parts += part
    return bytes(parts)


@contextmanager
def through(cutter: CommitCutter) -> Iterator[None]:
    """Let Django of this process reach PostgreSQL through the proxy inside the block."""
    settings = connections["default"].settings_dict
    before = {name: settings[name] for name in ("HOST", "PORT", "OPTIONS")}
    connections.close_all()
    settings |= {
        "HOST": "127.0.0.1",
        "PORT": cutter.port,
        "OPTIONS": {**settings["OPTIONS"], "sslmode": "disable", "gssencmode": "disable"},
    }
    try:
        yield
    finally:
        connections.close_all()
        settings |= before
