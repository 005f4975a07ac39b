"""The load generator, a process of its own: `python -m bench.load SPECIFICATION`.

Reads what to send as JSON from its one argument, prints what it saw as JSON. Raw sockets under one
event loop, since a client library would take more processor time than the server measured.
What may not live here: judging figures.
"""

from __future__ import annotations

import asyncio
import json
import random
import string
import sys
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote


@dataclass(frozen=True, kw_only=True)
class Specification:
    """What to send, and how fast."""

    host: str
    port: int
    path: str
    secret_key: str
    run: str
    """Makes keys and orders of this run differ from those of every other."""
    connections: int
    seconds: float
    wait_seconds: float | None = None
    """How long each request waits for the PSP (`Prefer: wait=`); None: as the merchant wants."""
    rate: float = 0.0
    """Requests per second that arrive whatever the server does; 0: each client sends its next
    request when it has its answer."""


def request_bytes(specification: Specification, number: int) -> bytes:
    """The payment with this number."""
    name = f"{specification.run}-{number}"
    body = (
        "amount=2000&currency=usd&confirm=true&payment_method=pm_card_visa"
        f"&{quote('metadata[order_id]')}=order-{name}"
    ).encode()
    wait = specification.wait_seconds
    prefer = "" if wait is None else f"Prefer: wait={wait:g}\r\n"
    head = (
        f"POST {specification.path} HTTP/1.1\r\nHost: {specification.host}:{specification.port}\r\n"
        f"Authorization: Bearer {specification.secret_key}\r\nIdempotency-Key: key-{name}\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\nAccept: */*\r\n"
        f"{prefer}Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Connection(asyncio.Protocol):
    """One kept-alive connection with one request at a time."""

    def __init__(self, on_answer: Callable[[Connection, int, float, float], None]) -> None:
        self._on_answer = on_answer
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._length = -1
        self._since = 0.0
        self.refusal = ""
        """The last answer, if it was not 200."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None

    def send(self, request: bytes, *, since: float) -> None:
        """Send a request whose time runs from `since`."""
        if self._transport is None:
            raise ConnectionError("the server closed a kept-alive connection")
        self._since = since
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._length < 0:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            self._length = end + 4 + content_length(self._buffer[:end])
        if len(self._buffer) < self._length:
            return
        status = int(self._buffer[9:12])
        self.refusal = "" if status == 200 else self._buffer.decode(errors="replace")
        self._buffer, self._length = b"", -1
        self._on_answer(self, status, self._since, time.monotonic() - self._since)


def new_run() -> str:
    """A name for a run. Without digits: with the numbers of orders, they can make a card number."""
    return "".join(random.choices(string.ascii_lowercase, k=12))


def content_length(head: bytes) -> int:
    """The announced length of a body; refuses an answer that announces none."""
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line[15:])
    raise ValueError("an answer without Content-Length")


class Load:
    """One run of the generator."""

    def __init__(self, specification: Specification) -> None:
        self._specification = specification
        self._number = 0
        self._idle: deque[Connection] = deque()
        self._waiting: deque[float] = deque()
        self._in_flight = 0
        self._end = 0.0
        self._all_sent = False
        self._begun = 0.0
        self.latencies_ms: list[float] = []
        self.due_seconds: list[float] = []
        """When each of these requests was due, since the beginning."""
        self.statuses: Counter[int] = Counter()
        self.refusal = ""
        """The first answer that was not 200."""

    _drained: asyncio.Future[None]

    async def run(self) -> dict[str, Any]:
        """Send until the time is over and every answer is there."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._failed)
        self._drained = loop.create_future()
        given = self._specification
        for _ in range(given.connections):
            _, connection = await loop.create_connection(
                lambda: Connection(self._answered), given.host, given.port
            )
            self._idle.append(connection)
        begun, processor_before = time.monotonic(), time.process_time()
        self._begun, self._end = begun, begun + given.seconds
        if given.rate:
            await self._send_at_rate(begun)
        else:
            while self._idle:
                self._send(self._idle.popleft(), since=time.monotonic())
        await asyncio.wait_for(self._drained, given.seconds + 60)
        return {
            "seconds": time.monotonic() - begun,
            "latencies_ms": self.latencies_ms,
            "due_seconds": self.due_seconds,
            "statuses": {str(status): count for status, count in self.statuses.items()},
            "refusal": self.refusal,
            "processor_seconds": time.process_time() - processor_before,
        }

    async def _send_at_rate(self, begun: float) -> None:
        """Time runs from when a request was due, so that a slow server cannot hide its queue."""
        for number in range(int(self._specification.rate * self._specification.seconds)):
            due = begun + number / self._specification.rate
            wait = due - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            if self._idle:
                self._send(self._idle.popleft(), since=due)
            else:
                self._waiting.append(due)
        self._all_sent = True

    def _send(self, connection: Connection, *, since: float) -> None:
        self._number += 1
        self._in_flight += 1
        connection.send(request_bytes(self._specification, self._number), since=since)

    def _answered(self, connection: Connection, status: int, since: float, seconds: float) -> None:
        self._in_flight -= 1
        self.due_seconds.append(round(since - self._begun, 3))
        self.latencies_ms.append(round(seconds * 1000, 3))
        self.statuses[status] += 1
        self.refusal = self.refusal or connection.refusal
        now = time.monotonic()
        if self._waiting:
            self._send(connection, since=self._waiting.popleft())
            return
        if not self._specification.rate:
            self._all_sent = now >= self._end
            if not self._all_sent:
                self._send(connection, since=now)
                return
        self._idle.append(connection)
        if self._all_sent and not self._in_flight:
            self._finish()

    def _finish(self, error: BaseException | None = None) -> None:
        if self._drained.done():
            return
        if error is None:
            self._drained.set_result(None)
        else:
            self._drained.set_exception(error)

    def _failed(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """An answer that cannot be read ends the run at once."""
        self._finish(context.get("exception") or RuntimeError(context["message"]))


def main() -> int:
    """Run the specification given as the one argument."""
    specification = Specification(**json.loads(sys.argv[1]))

    async def run() -> dict[str, Any]:
        return await Load(specification).run()

    print(json.dumps(asyncio.run(run())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
