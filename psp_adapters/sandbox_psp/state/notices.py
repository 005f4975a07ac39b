"""What the simulator tells of by itself: a pure function of its journal.

Made while the journal is applied, so that a restart makes the same notices again, byte for byte; a
`told` record says which of them nobody need hear any more. What may not live here: sending.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from psp_adapters.sandbox_psp.state.clock import iso
from psp_adapters.sandbox_psp.state.records import Operation

_DONE: Final = {
    "authorize": "payment.authorized",
    "increment": "payment.incremented",
    "capture": "payment.captured",
    "void": "payment.voided",
    "refund": "payment.refunded",
}
_NOUN: Final = {"authorize": "payment"}
_SECOND_THOUGHTS: Final = {"failed": "healed", "declined": "revived", "canceled": "revived"}
AUTHENTICATION_FAILED_CODE: Final = "authentication_failed"


@dataclass(slots=True)
class Endpoint:
    """Where an account wants to be told, and with what the notices are signed."""

    url: str
    secret: str


@dataclass(slots=True)
class Notice:
    """One thing that happened, as it is told; the same bytes at every attempt."""

    id: str
    account_id: str
    body: bytes
    at_ms: int


@dataclass(slots=True)
class Outbox:
    """Notices that nobody has acknowledged, oldest first."""

    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    open: dict[str, Notice] = field(default_factory=dict)
    fresh: list[Notice] = field(default_factory=list)
    """Made, but what they tell of may not be on disk yet."""
    handed_in: list[Notice] = field(default_factory=list)
    """What they tell of is about to be written; after that they may leave."""

    def add(self, type_: str, operation: Operation, at_ms: int) -> None:
        """Make a notice, if the account wants any."""
        account_id = operation.payment.account.id
        if account_id not in self.endpoints:
            return
        notice = _notice(type_, operation, at_ms)
        self.open[notice.id] = notice
        self.fresh.append(notice)

    def put(self, notice: Notice) -> None:
        """Take a notice that was made elsewhere, if the account wants any."""
        if notice.account_id in self.endpoints:
            self.open[notice.id] = notice
            self.fresh.append(notice)

    def forget(self, account_id: str) -> None:
        """The account wants to hear nothing more, of what happened either."""
        self.endpoints.pop(account_id, None)
        for notice in [each for each in self.open.values() if each.account_id == account_id]:
            del self.open[notice.id]

    def hand_in(self) -> None:
        """Everything made so far is on its way to the disk."""
        if self.fresh:
            self.handed_in += self.fresh
            self.fresh = []

    def take_durable(self) -> list[Notice]:
        """What may leave now that the disk has it."""
        ready, self.handed_in = self.handed_in, []
        return ready


def types_of_birth(operation: Operation) -> Iterator[str]:
    """What a new operation is told as."""
    noun = _NOUN.get(operation.kind, operation.kind)
    match operation.status:
        case "succeeded":
            yield _DONE[operation.kind]
        case "requires_action":
            yield "challenge.required"
        case status:
            yield f"{noun}.{status}"


def types_of_move(operation: Operation, before: str) -> Iterator[str]:
    """What the move of an operation from one status to its present one is told as."""
    noun = _NOUN.get(operation.kind, operation.kind)
    if before == "requires_action" and operation.status != "canceled":
        failed = operation.code == AUTHENTICATION_FAILED_CODE
        yield "challenge.failed" if failed else "challenge.completed"
    if before == "pending" and operation.status == "succeeded":
        yield f"{noun}.settled"
    if operation.status == "succeeded" and before in _SECOND_THOUGHTS:
        yield f"{noun}.{_SECOND_THOUGHTS[before]}"
    elif operation.status == "succeeded":
        yield _DONE[operation.kind]
    else:
        yield f"{noun}.{operation.status}"


def type_of_effect(kind: str, operation: Operation) -> str:
    """What an effect is told as, if its operation does not tell of it already; else empty."""
    if kind == "expire":
        return "payment.expired"
    if kind == "capture" and operation.kind == "authorize":
        return "payment.captured"
    return ""


def _notice(type_: str, operation: Operation, at_ms: int) -> Notice:
    payment = operation.payment
    identifier = f"sev_{operation.id.removeprefix('sop_')}_{type_.replace('.', '_')}"
    again = operation.told.count(type_)
    operation.told.append(type_)
    if again:
        identifier += f"_{again + 1}"
    words: dict[str, Any] = {
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
    return Notice(identifier, payment.account.id, orjson.dumps(words), at_ms)
