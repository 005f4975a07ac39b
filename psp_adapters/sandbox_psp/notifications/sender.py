"""Sends signed notices to the accounts' endpoints, at least once, with retries until a 2xx.

What is not acknowledged is sent again, also after a kill -9. Nothing runs while no account has an
endpoint.
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
from psp_adapters.sandbox_psp.notifications.http_client import HttpConnection, NotDelivered
from psp_adapters.sandbox_psp.rules.payments import Rules
from psp_adapters.sandbox_psp.state.journal import Store
from psp_adapters.sandbox_psp.state.notices import Endpoint, Notice
from psp_adapters.sandbox_psp.state.records import Clock

SIGNATURE_HEADER: Final = "Sandbox-Signature"
_CONNECTIONS: Final = 8
_CHECK_EVERY_SECONDS: Final = 0.1
_WRITE_EVERY_SECONDS: Final = 1.0
_RETRY_FIRST_SECONDS: Final = 0.5
_RETRY_MOST_SECONDS: Final = 60.0
_FORGERIES: Final = 4


@dataclass(slots=True)
class QueuedNotice:
    """One copy of a notice that waits to be sent."""

    notice: Notice
    attempts: int = 0
    forgery: int = -1
    """How it is forged; negative: it is genuine."""


class Sender:
    """Sends the notices of the outbox, as the delivery plans say."""

    def __init__(self, rules: Rules, clock: Clock, store: Store) -> None:
        self.chance = Chance()
        names = ("sent", "acknowledged", "refused", "lost", "doubled", "delayed", "forged")
        self.counts = dict.fromkeys(names, 0)
        self._rules = rules
        self._truth = rules.truth
        self._clock = clock
        self._store = store
        self._due: list[tuple[int, int, QueuedNotice]] = []
        self._number = 0
        self._ready: asyncio.Queue[QueuedNotice] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        store.after_commit = self._take_durable

    @property
    def open_count(self) -> int:
        return len(self._truth.outbox.open)

    def start(self) -> None:
        """Start, if any account has an endpoint. Notices that a crash left open are sent first."""
        if self._tasks or not self._truth.outbox.endpoints:
            return
        outbox = self._truth.outbox
        waiting = {id(notice) for notice in (*outbox.fresh, *outbox.handed_in)}
        for notice in outbox.open.values():
            if id(notice) not in waiting:
                self._schedule(QueuedNotice(notice), 0.0)
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._check())]
        self._tasks += [loop.create_task(self._work()) for _ in range(_CONNECTIONS)]

    def stop(self) -> None:
        """Stop sending, and store what was acknowledged."""
        for task in self._tasks:
            task.cancel()
        self._store.when_durable(self._truth.take_unsaved(), lambda: None)

    def set_endpoint(self, account_id: str, url: str, secret: str) -> None:
        """Send this account's notices there from now on; an empty URL sends none."""
        record: dict[str, Any] = {"t": "endpoint", "account": account_id, "url": url}
        self._truth.record({**record, "secret": secret})
        self.start()

    def _take_durable(self) -> None:
        for notice in self._truth.outbox.take_durable():
            plan = self.chance.delivery_plan()
            if plan.forged:
                self.counts["forged"] += 1
                forgery = self.chance.choose(_FORGERIES)
                self._schedule(QueuedNotice(notice, forgery=forgery), 0.0)
            if not plan.delays_seconds:
                self.counts["lost"] += 1
                self._truth.record({"t": "told", "notice": notice.id})
            self.counts["doubled"] += len(plan.delays_seconds) > 1
            self.counts["delayed"] += max(plan.delays_seconds, default=0.0) > 0
            for delay_seconds in plan.delays_seconds:
                self._schedule(QueuedNotice(notice), delay_seconds)

    def _schedule(self, queued: QueuedNotice, delay_seconds: float) -> None:
        if delay_seconds <= 0:
            self._ready.put_nowait(queued)
            return
        self._number += 1
        due_ms = self._clock.now_ms() + int(delay_seconds * 1000)
        heapq.heappush(self._due, (due_ms, self._number, queued))

    async def _check(self) -> None:
        """Queue and settle what falls due, although no request comes in."""
        written = 0.0
        while True:
            await asyncio.sleep(_CHECK_EVERY_SECONDS)
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
        connection = HttpConnection()
        try:
            while True:
                await self._send(await self._ready.get(), connection)
        finally:
            connection.close()

    async def _send(self, queued: QueuedNotice, connection: HttpConnection) -> None:
        notice = queued.notice
        endpoint = self._truth.outbox.endpoints.get(notice.account_id)
        if endpoint is None:
            return
        body, signature = _forged(queued, endpoint) or (
            notice.body,
            signature_of(endpoint.secret, notice.body, int(time.time())),
        )
        headers = {SIGNATURE_HEADER: signature} if signature else {}
        self.counts["sent"] += 1
        try:
            status = await connection.post(endpoint.url, headers, body)
        except NotDelivered:
            status = 0
        if queued.forgery >= 0:
            return
        if 200 <= status < 300:
            self.counts["acknowledged"] += 1
            if notice.id in self._truth.outbox.open:
                self._truth.record({"t": "told", "notice": notice.id})
            return
        self.counts["refused"] += 1
        step = min(_RETRY_FIRST_SECONDS * 2**queued.attempts, _RETRY_MOST_SECONDS)
        queued.attempts += 1
        self._schedule(queued, step * random.uniform(0.5, 1.0))


def signature_of(secret: str, body: bytes, at_seconds: int) -> str:
    """The signature header of a notice: when it was signed, and the HMAC of that and its body."""
    signed = str(at_seconds).encode() + b"." + body
    digest = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    return f"t={at_seconds},h1={digest}"


def _forged(queued: QueuedNotice, endpoint: Endpoint) -> tuple[bytes, str] | None:
    """What an attacker who has seen the notice could send. Returns None for a genuine one."""
    body, now = queued.notice.body, int(time.time())
    invented = body.replace(b'"id":"sev_', b'"id":"sev_forged_', 1)
    match queued.forgery:
        case 0:
            return invented, ""
        case 1:
            return invented, signature_of("a guess", invented, now)
        case 2:
            return invented, signature_of(endpoint.secret, body, now)
        case 3:  # a replay of an hour-old notice
            return body, signature_of(endpoint.secret, body, now - 3600)
        case _:
            return None
