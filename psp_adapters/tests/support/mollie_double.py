"""Answers Mollie's client without a network, and objects in Mollie's documented form.

This double is ours. The stateful one is the face of the sandbox PSP in `mollie_face`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from psp_adapters.http import HttpAnswer, NotSent
from psp_adapters.mollie.adapter import MollieAdapter
from psp_adapters.mollie.connection import Transport
from psp_adapters.tests.support.receiver import SECRET

Json = dict[str, Any]
Answering = Callable[[str, str, Json], tuple[int, Any]]
BASE_URL = "http://mollie.invalid"
WEBHOOK_URL = "https://pay.example/psp/mollie/webhook"
CREATED = "2026-01-01T12:00:00+00:00"
UNTIL = "2026-01-08T12:00:00+00:00"


class DoubledTransport(Transport):
    """Asks a function for each answer, and keeps the requests."""

    def __init__(self, answering: Answering) -> None:
        super().__init__(BASE_URL, key="test_double")
        self._answering = answering
        self.requests: list[tuple[str, str, Json]] = []
        self.keys: list[str] = []

    def exchange(
        self, method: str, target: str, body: Json | None, headers: dict[str, str]
    ) -> HttpAnswer:
        if self.call.deadline_seconds <= 0:
            raise NotSent("no time left")
        parts = urlsplit(target)
        sent = body if body is not None else dict(parse_qsl(parts.query))
        self.requests.append((method, parts.path, sent))
        self.keys.append(headers.get("Idempotency-Key", ""))
        status, view = self._answering(method, parts.path, sent)
        text = view if isinstance(view, str) else "" if view is None else json.dumps(view)
        return HttpAnswer(status, {"retry-after": "7"}, text.encode())


def adapter_answered_by(answering: Answering) -> tuple[MollieAdapter, DoubledTransport]:
    """An adapter without a network."""
    transport = DoubledTransport(answering)
    adapter = MollieAdapter(
        api_key="test_double",
        base_url=BASE_URL,
        webhook_url=WEBHOOK_URL,
        webhook_secret=SECRET,
        transport=transport,
    )
    return adapter, transport


def adapter_answered(*answers: tuple[int, Any]) -> tuple[MollieAdapter, DoubledTransport]:
    """An adapter that gets these answers, one after the other."""
    left = list(answers)
    return adapter_answered_by(lambda method, path, body: left.pop(0))


def payment_view(**changes: Any) -> Json:
    """A payment by card as Mollie shows it, authorized but not captured."""
    return {
        "resource": "payment",
        "id": "tr_1",
        "mode": "test",
        "status": "authorized",
        "amount": eur("10.00"),
        "captureMode": "manual",
        "method": "creditcard",
        "metadata": {"reference": "op_1", "order_id": "o-1"},
        "createdAt": CREATED,
        "authorizedAt": CREATED,
        "captureBefore": UNTIL,
        "details": None,
        "_links": {},
        "_embedded": {"captures": [], "refunds": []},
    } | changes


def open_view(**changes: Any) -> Json:
    """A payment that the customer has yet to make on another page."""
    link = {"href": "https://www.mollie.com/checkout/1", "type": "text/html"}
    made = payment_view(
        status="open",
        method="ideal",
        isCancelable=False,
        expiresAt="2026-01-01T12:15:00+00:00",
        _links={"checkout": link},
    )
    for name in ("captureMode", "authorizedAt", "captureBefore"):
        del made[name]
    return made | changes


def capture_view(**changes: Any) -> Json:
    return {
        "resource": "capture",
        "id": "cpt_1",
        "mode": "test",
        "status": "succeeded",
        "amount": eur("7.00"),
        "metadata": {"reference": "op_2", "final": True},
        "paymentId": "tr_1",
        "createdAt": "2026-01-01T13:00:00+00:00",
    } | changes


def refund_view(**changes: Any) -> Json:
    return {
        "resource": "refund",
        "id": "re_1",
        "mode": "test",
        "status": "refunded",
        "amount": eur("4.00"),
        "metadata": {"reference": "op_3"},
        "paymentId": "tr_1",
        "createdAt": "2026-01-02T12:00:00+00:00",
    } | changes


def chargeback_view(**changes: Any) -> Json:
    return {
        "resource": "chargeback",
        "id": "chb_1",
        "amount": eur("10.00"),
        "reason": None,
        "paymentId": "tr_1",
        "createdAt": CREATED,
        "reversedAt": None,
        "_embedded": {"payment": payment_view(status="paid")},
    } | changes


def eur(value: str) -> Json:
    return {"currency": "EUR", "value": value}


def error(status: int, **more: Any) -> tuple[int, Json]:
    """A refusal as Mollie writes it."""
    body = {"status": status, "title": "A title", "detail": "What is wrong", "_links": {}}
    return status, body | more


def page_of(name: str, *views: Json, following: str = "") -> tuple[int, Json]:
    """A page of a list; `following` is the id with which the next one begins."""
    href = f"https://api.mollie.com/v2/{name}?from={following}&limit=250"
    return 200, {
        "count": len(views),
        "_embedded": {name: list(views)},
        "_links": {"next": {"href": href} if following else None},
    }
