"""Writes the journal records of payments: operations, their statuses, and effects."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

from psp_adapters.sandbox_psp.faults.behavior import Behavior
from psp_adapters.sandbox_psp.rules.disputes import Disputes
from psp_adapters.sandbox_psp.state.records import Operation, Payment
from psp_adapters.sandbox_psp.state.truth import Truth
from psp_adapters.sandbox_psp.tokens import Decline


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """A money operation as a request orders it, validated field by field."""

    kind: str
    reference: str
    amount_minor: int
    """0 for a void, which releases whatever is held."""
    final: bool = True
    order_id: str = ""
    currency: str = ""
    token: str = ""
    capture: bool = False
    challenge_allowed: bool = True
    challenge_requested: bool = False
    return_url: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    purchase: dict[str, Any] | None = None
    save_for: str = ""
    """AUTHORIZE: the later use for which the customer agrees to keep the card."""
    off_session: bool = False
    """AUTHORIZE: the customer is not there."""
    network_transaction_id: str = ""
    """AUTHORIZE: of the customer's agreement."""
    mandate: str = ""
    """AUTHORIZE: the account's reference of the mandate by which it debits its customer."""


class Recorder:
    """Records what the rules decided in one Truth; checks nothing itself."""

    def __init__(self, truth: Truth) -> None:
        self.truth = truth
        self.disputes = Disputes(truth)
        self.behavior = Behavior()

    def due_again(self, operation: Operation, now_ms: int) -> None:
        """Check the operation again after the settle delay."""
        self.truth.record(
            {
                "t": "due",
                "payment": operation.payment.id,
                "operation": operation.id,
                "due": self.settles_at(now_ms),
            }
        )

    def money_arrived(self, operation: Operation, now_ms: int) -> None:
        """Record the authorization, and for a sale the capture, as effects."""
        self.effect(operation, "authorize", operation.amount_minor, now_ms)
        if operation.payment.capture:
            self.effect(operation, "capture", operation.amount_minor, now_ms)

    def settles_at(self, now_ms: int) -> int:
        """When something that begins now settles, in milliseconds."""
        return now_ms + int(self.behavior.settle_delay_seconds * 1000)

    def add_operation(
        self,
        payment: Payment,
        order: Instruction,
        status: str,
        reason: Decline,
        *,
        now_ms: int,
        due_ms: int = 0,
    ) -> Operation:
        """Record a new operation of a payment."""
        self.truth.record(
            {
                "t": "operation",
                "id": f"sop_{secrets.token_hex(10)}",
                "kind": order.kind,
                "reference": order.reference,
                "payment": payment.id,
                "amount": order.amount_minor,
                "status": status,
                "code": reason.code,
                "decline_code": reason.decline_code,
                "message": reason.message,
                "final": order.final,
                "purchase": order.purchase,
                "at": now_ms,
                "due": due_ms,
            }
        )
        return payment.operations[-1]

    def set_status(self, operation: Operation, status: str, reason: Decline, at_ms: int) -> None:
        """Record the new status of an operation."""
        self.truth.record(
            {
                "t": "status",
                "payment": operation.payment.id,
                "operation": operation.id,
                "status": status,
                "code": reason.code,
                "decline_code": reason.decline_code,
                "message": reason.message,
                "at": at_ms,
            }
        )

    def effect(
        self, operation: Operation, kind: str, amount_minor: int, at_ms: int, *, released: int = 0
    ) -> None:
        """Record that money was moved, held or released."""
        self.truth.record(
            {
                "t": "effect",
                "kind": kind,
                "id": operation.id,
                "reference": operation.reference,
                "payment": operation.payment.id,
                "amount": amount_minor,
                "released": released,
                **(self._processing_fee(amount_minor) if kind == "capture" else {}),
                "at": at_ms,
            }
        )
        if kind == "capture":
            self.disputes.plan(operation.payment, self.behavior, at_ms)

    def _processing_fee(self, amount_minor: int) -> dict[str, int]:
        """Our fee of a capture, rounded down, never more than the capture; and of it what we pass
        on."""
        fee = self.truth.processing_fee
        share_minor = amount_minor * fee.basis_points // 10_000
        fee_minor = min(amount_minor, share_minor + fee.fixed_minor)
        interchange_minor = min(fee_minor, amount_minor * fee.interchange_basis_points // 10_000)
        scheme_fee_minor = amount_minor * fee.scheme_fee_basis_points // 10_000
        return {
            "fee": fee_minor,
            "interchange": interchange_minor,
            "scheme_fee": min(fee_minor - interchange_minor, scheme_fee_minor),
        }
