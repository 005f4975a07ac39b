"""Makes notices from the simulator's journal, and keeps them until they are acknowledged.

Notices are made while the journal is applied, so a restart makes the same ones again, byte for
byte. A `told` record marks a notice as acknowledged, or lost on purpose.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from psp_adapters.sandbox_psp.state.records import Operation, Setup, iso

_DONE: Final = {
    "authorize": "payment.authorized",
    "increment": "payment.incremented",
    "capture": "payment.captured",
    "void": "payment.voided",
    "refund": "payment.refunded",
}
_NOUN: Final = {"authorize": "payment"}
_LATE_SUCCESSES: Final = {
    "failed": "reinstated",
    "declined": "succeeded_late",
    "canceled": "succeeded_late",
}
AUTHENTICATION_FAILED_CODE: Final = "authentication_failed"


@dataclass(slots=True)
class Endpoint:
    """Where an account's notices are sent, and the secret that signs them."""

    url: str
    secret: str


@dataclass(slots=True)
class Notice:
    """One notification of one account; the same bytes at every attempt."""

    id: str
    account_id: str
    body: bytes
    at_ms: int


@dataclass(slots=True)
class Outbox:
    """The notices that are not acknowledged yet, oldest first."""

    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    open: dict[str, Notice] = field(default_factory=dict)
    fresh: list[Notice] = field(default_factory=list)
    """Made, but the records behind them are not handed to the journal yet."""
    handed_in: list[Notice] = field(default_factory=list)
    """Handed to the journal; they may be sent after its commit."""

    def add(self, type_: str, operation: Operation, at_ms: int) -> None:
        """Make a notice, if the account has an endpoint."""
        if operation.payment.account.id in self.endpoints:
            self.put(_notice(type_, operation, at_ms))

    def put(self, notice: Notice) -> None:
        """Add a notice, if the account has an endpoint."""
        if notice.account_id in self.endpoints:
            self.open[notice.id] = notice
            self.fresh.append(notice)

    def drop(self, account_id: str) -> None:
        """Remove an account's endpoint and its open notices."""
        self.endpoints.pop(account_id, None)
        for notice in [each for each in self.open.values() if each.account_id == account_id]:
            del self.open[notice.id]

    def hand_in(self) -> None:
        """Note that the records behind all notices made so far are handed to the journal."""
        if self.fresh:
            self.handed_in += self.fresh
            self.fresh = []

    def take_durable(self) -> list[Notice]:
        """Take the notices whose records are on disk now."""
        ready, self.handed_in = self.handed_in, []
        return ready


def types_on_creation(operation: Operation) -> Iterator[str]:
    """The notice types of a new operation."""
    noun = _NOUN.get(operation.kind, operation.kind)
    match operation.status:
        case "succeeded":
            yield _DONE[operation.kind]
        case "requires_action":
            yield "challenge.required"
        case status:
            yield f"{noun}.{status}"


def types_on_status_change(operation: Operation, before: str) -> Iterator[str]:
    """The notice types of an operation's change from the status `before`."""
    noun = _NOUN.get(operation.kind, operation.kind)
    if before == "requires_action" and operation.status != "canceled":
        failed = operation.code == AUTHENTICATION_FAILED_CODE
        yield "challenge.failed" if failed else "challenge.completed"
    if before == "pending" and operation.status == "succeeded":
        yield f"{noun}.settled"
    if operation.status == "succeeded" and before in _LATE_SUCCESSES:
        yield f"{noun}.{_LATE_SUCCESSES[before]}"
    elif operation.status == "succeeded":
        yield _DONE[operation.kind]
    else:
        yield f"{noun}.{operation.status}"


def type_of_effect(kind: str, operation: Operation) -> str:
    """The notice type of an effect, or empty if its operation has a notice already."""
    if kind == "expire":
        return "payment.expired"
    if kind == "capture" and operation.kind == "authorize":
        return "payment.captured"
    return ""


def _notice(type_: str, operation: Operation, at_ms: int) -> Notice:
    payment = operation.payment
    identifier = f"sev_{operation.id.removeprefix('sop_')}_{type_.replace('.', '_')}"
    again = operation.notice_types.count(type_)
    operation.notice_types.append(type_)
    if again:
        identifier += f"_{again + 1}"
    body: dict[str, Any] = {
        "object": "notice",
        "id": identifier,
        "type": type_,
        "account": payment.account.id,
        "created_at": iso(at_ms),
        "data": {
            "payment_id": payment.id,
            "references": [operation.reference] if operation.reference else [],
            "order_id": payment.order_id,
            "operation": {
                "id": operation.id,
                "kind": operation.kind,
                "status": operation.status,
                "amount_minor": operation.amount_minor,
                "currency": payment.currency,
            },
        },
    }
    return Notice(identifier, payment.account.id, orjson.dumps(body), at_ms)


def notice_of_setup(setup: Setup, at_ms: int) -> Notice:
    """The notice of a setup that has ended: `setup.succeeded` or `setup.declined`."""
    identifier = f"sev_{setup.id.removeprefix('sset_')}_setup_{setup.status}"
    body: dict[str, Any] = {
        "object": "notice",
        "id": identifier,
        "type": f"setup.{setup.status}",
        "account": setup.account.id,
        "created_at": iso(at_ms),
        "data": {
            "references": [setup.reference],
            "setup": {"id": setup.id, "status": setup.status},
        },
    }
    return Notice(identifier, setup.account.id, orjson.dumps(body), at_ms)
