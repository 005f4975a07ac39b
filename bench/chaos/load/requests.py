"""Sends one request as a merchant does: same key, up to 12 attempts, full jitter, failover."""

from __future__ import annotations

import http.client
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from bench.chaos.load.history import History, Record
from bench.chaos.load.http_client import HttpAnswer, HttpClient

ATTEMPTS: Final = 12
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.2, 5.0
TIMEOUTS_SECONDS: Final = (0.5, 2.0, 10.0, 10.0)
_RETRIED: Final = frozenset({409, 429, 500, 502, 503, 504})
_INDEFINITE: Final = _RETRIED


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request, however many attempts it takes."""

    verb: str
    """`create`, `confirm`, `capture`, `cancel`, `refund`, `get`, `list` or `changed`."""
    method: str
    path: str
    merchant: int
    order: str
    intent: str = ""
    key: str = ""
    parameters: dict[str, str] = field(default_factory=dict)


class Sender:
    """Sends the requests of one client, one after the other."""

    def __init__(
        self,
        name: str,
        *,
        ports: tuple[int, ...],
        secret_keys: list[str],
        history: History,
        seed: int,
        stopped: Callable[[], bool],
    ) -> None:
        self.name = name
        self._client = HttpClient(ports)
        self._servers = len(ports)
        self._secret_keys = secret_keys
        self._history = history
        self._random = random.Random(seed)
        self._stopped = stopped

    def send(self, request: Request, *, attempts: int = ATTEMPTS) -> Record | None:
        """Repeat until the answer is definite; None if it never was."""
        server = self._random.randrange(self._servers)
        for attempt in range(1, attempts + 1):
            record = self._attempt(request, server, attempt)
            if record.type != "info":
                return record
            if self._stopped():
                return None
            if record.status == 0:
                server = (server + 1) % self._servers  # down or too slow: fail over
            if attempt < attempts:
                most = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**attempt)
                time.sleep(self._random.uniform(0, most))
        return None

    def close(self) -> None:
        """Close connections."""
        self._client.close()

    def _attempt(self, request: Request, server: int, attempt: int) -> Record:
        record = Record(
            at=time.time(),
            type="invoke",
            client=self.name,
            verb=request.verb,
            order=request.order,
            intent=request.intent,
            key=request.key,
            attempt=attempt,
            server=server,
            merchant=request.merchant,
        )
        self._history.add(record)
        ended = self._ended(request, server, record)
        self._history.add(ended)
        return ended

    def _ended(self, request: Request, server: int, invoked: Record) -> Record:
        answer: HttpAnswer | None = None
        error, seen = "", {}
        try:
            answer = self._client.send(
                server,
                request.method,
                request.path,
                secret_key=self._secret_keys[request.merchant],
                parameters=request.parameters,
                idempotency_key=request.key,
                timeout_seconds=self._random.choice(TIMEOUTS_SECONDS),
                wait_seconds=self._random.choice((None, None, 1.0)) if request.key else None,
            )
            seen = seen_of(answer.json())
        except (OSError, http.client.HTTPException, ValueError) as problem:
            error = f"{type(problem).__name__}: {problem}"[:200]
        status = answer.status if answer is not None else 0
        return Record(
            at=time.time(),
            type=_type_of(status, seen),
            client=invoked.client,
            verb=invoked.verb,
            order=invoked.order,
            intent=seen.get("intent", "") or invoked.intent,
            key=invoked.key,
            attempt=invoked.attempt,
            server=server,
            merchant=invoked.merchant,
            sent_at=invoked.at,
            status=status,
            body_sha256=answer.sha256 if answer is not None else "",
            replayed=answer.replayed if answer is not None else False,
            seen=seen,
            error=error,
        )


def seen_of(content: dict[str, Any]) -> dict[str, Any]:
    """What the checks and a reader need of an answer."""
    kind = content.get("object")
    if kind == "payment_intent":
        return _intent_seen(content)
    if kind == "refund":
        return {
            "refund": content["id"],
            "intent": content["payment_intent"],
            "refund_status": content["status"],
            "amount": content["amount"],
        }
    if kind == "list":
        return {"listed": [_intent_seen(each) for each in content["data"]]}
    error = content.get("error")
    if not isinstance(error, dict):
        return {}
    seen = {name: error[name] for name in ("type", "code", "charge", "message") if name in error}
    if isinstance(error.get("payment_intent"), dict):
        seen |= _intent_seen(error["payment_intent"])
    return seen


def _intent_seen(content: dict[str, Any]) -> dict[str, Any]:
    charge = content["latest_charge"]
    seen = {
        "intent": content["id"],
        "status": content["status"],
        "received": content["amount_received"],
        "capturable": content["amount_capturable"],
        "latest_charge": charge,
    }
    if isinstance(charge, dict):
        seen |= {"latest_charge": charge["id"], "refunded": charge["amount_refunded"]}
    return seen


def _type_of(status: int, seen: dict[str, Any]) -> str:
    if status == 200 and seen:
        return "ok"
    if status == 0 or status in _INDEFINITE or not seen:
        return "info"
    return "fail"
