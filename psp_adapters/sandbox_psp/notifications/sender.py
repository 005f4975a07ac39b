"""Tells accounts what happened: signed notices, at least once, with retries until a 2xx.

Works beside the answers, on a few kept connections; what is not acknowledged is sent again, also
after a kill -9. Nothing runs while no account has an endpoint. What may not live here: what is in a
notice.
"""

from __future__ import annotations

import asyncio
import hashlib
import heapq
import hmac
import random
import time
from dataclasses import dataclass
from typing import Any, Final

from psp_adapters.sandbox_psp.faults.chance import Chance
from psp_adapters.sandbox_psp.notifications.http_client import Line, NotTaken
from psp_adapters.sandbox_psp.rules.payments import Rules
from psp_adapters.sandbox_psp.state.clock import Clock
from psp_adapters.sandbox_psp.state.journal import Store
from psp_adapters.sandbox_psp.state.notices import Endpoint, Notice

SIGNATURE_HEADER: Final = "Sandbox-Signature"
_LINES: Final = 8
_LOOK_EVERY_SECONDS: Final = 0.1
_WRITE_EVERY_SECONDS: Final = 1.0
_RETRY_FIRST_SECONDS: Final = 0.5
_RETRY_MOST_SECONDS: Final = 60.0
_FORGERIES: Final = 4


@dataclass(slots=True)
class Letter:
    """One copy of a notice on its way."""

    notice: Notice
    attempts: int = 0
    forgery: int = -1
    """Which way of forging; negative: genuine."""


class Teller:
    """Sends what the outbox holds."""

    def __init__(self, rules: Rules, clock: Clock, store: Store) -> None:
        self.chance = Chance()
        names = ("sent", "acknowledged", "refused", "lost", "doubled", "delayed", "forged")
        self.counts = dict.fromkeys(names, 0)
        self._rules = rules
        self._truth = rules.truth
        self._clock = clock
        self._store = store
        self._due: list[tuple[int, int, Letter]] = []
        self._number = 0
        self._ready: asyncio.Queue[Letter] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        store.after_commit = self._take_durable

    @property
    def open_count(self) -> int:
        return len(self._truth.outbox.open)

    def start(self) -> None:
        """Begin, if there is anybody to tell; what a crash left open is sent first."""
        if self._tasks or not self._truth.outbox.endpoints:
            return
        outbox = self._truth.outbox
        waiting = {id(notice) for notice in (*outbox.fresh, *outbox.handed_in)}
        for notice in outbox.open.values():
            if id(notice) not in waiting:
                self._schedule(Letter(notice), 0.0)
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._look())]
        self._tasks += [loop.create_task(self._work()) for _ in range(_LINES)]

    def stop(self) -> None:
        """Say nothing more, and remember what was acknowledged."""
        for task in self._tasks:
            task.cancel()
        self._store.when_durable(self._truth.take_unsaved(), lambda: None)

    def set_endpoint(self, account_id: str, url: str, secret: str) -> None:
        """From now on, tell this account there; an empty URL: nowhere."""
        record: dict[str, Any] = {"t": "endpoint", "account": account_id, "url": url}
        self._truth.record({**record, "secret": secret})
        self.start()

    def _take_durable(self) -> None:
        for notice in self._truth.outbox.take_durable():
            journey = self.chance.journey()
            if journey.forged:
                self.counts["forged"] += 1
                forgery = self.chance.choose(_FORGERIES)
                self._schedule(Letter(notice, forgery=forgery), 0.0)
            if not journey.delays_seconds:
                self.counts["lost"] += 1
                self._truth.record({"t": "told", "notice": notice.id})
            self.counts["doubled"] += len(journey.delays_seconds) > 1
            self.counts["delayed"] += max(journey.delays_seconds, default=0.0) > 0
            for delay_seconds in journey.delays_seconds:
                self._schedule(Letter(notice), delay_seconds)

    def _schedule(self, letter: Letter, delay_seconds: float) -> None:
        if delay_seconds <= 0:
            self._ready.put_nowait(letter)
            return
        self._number += 1
        due_ms = self._clock.now_ms() + int(delay_seconds * 1000)
        heapq.heappush(self._due, (due_ms, self._number, letter))

    async def _look(self) -> None:
        """Let time pass: what is due happens and is told although nobody asks."""
        written = 0.0
        while True:
            await asyncio.sleep(_LOOK_EVERY_SECONDS)
            now_ms = self._clock.now_ms()
            while self._due and self._due[0][0] <= now_ms:
                self._ready.put_nowait(heapq.heappop(self._due)[2])
            settles = self._truth.due and self._truth.due[0][0] <= now_ms
            if settles:
                self._rules.settle_due(now_ms)
            if settles or time.monotonic() - written > _WRITE_EVERY_SECONDS:
                written = time.monotonic()
                self._store.when_durable(self._truth.take_unsaved(), lambda: None)

    async def _work(self) -> None:
        line = Line()
        try:
            while True:
                await self._send(await self._ready.get(), line)
        finally:
            line.close()

    async def _send(self, letter: Letter, line: Line) -> None:
        notice = letter.notice
        endpoint = self._truth.outbox.endpoints.get(notice.account_id)
        if endpoint is None:
            return
        body, signature = _forged(letter, endpoint) or (
            notice.body,
            signature_of(endpoint.secret, notice.body, int(time.time())),
        )
        headers = {SIGNATURE_HEADER: signature} if signature else {}
        self.counts["sent"] += 1
        try:
            status = await line.post(endpoint.url, headers, body)
        except NotTaken:
            status = 0
        if letter.forgery >= 0:
            return
        if 200 <= status < 300:
            self.counts["acknowledged"] += 1
            if notice.id in self._truth.outbox.open:
                self._truth.record({"t": "told", "notice": notice.id})
            return
        self.counts["refused"] += 1
        step = min(_RETRY_FIRST_SECONDS * 2**letter.attempts, _RETRY_MOST_SECONDS)
        letter.attempts += 1
        self._schedule(letter, step * random.uniform(0.5, 1.0))


def signature_of(secret: str, body: bytes, at_seconds: int) -> str:
    """The header that proves where a notice comes from, and when it was sent."""
    signed = str(at_seconds).encode() + b"." + body
    digest = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    return f"t={at_seconds},h1={digest}"


def _forged(letter: Letter, endpoint: Endpoint) -> tuple[bytes, str] | None:
    """What somebody could send who has seen a notice; None for a genuine one."""
    body, now = letter.notice.body, int(time.time())
    invented = body.replace(b'"id":"sev_', b'"id":"sev_forged_', 1)
    match letter.forgery:
        case 0:
            return invented, ""
        case 1:
            return invented, signature_of("a guess", invented, now)
        case 2:
            return invented, signature_of(endpoint.secret, body, now)
        case 3:  # overheard an hour ago, sent again
            return body, signature_of(endpoint.secret, body, now - 3600)
        case _:
            return None
