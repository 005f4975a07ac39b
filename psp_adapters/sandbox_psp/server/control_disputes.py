"""The control API for disputes: open one, decide it, list them."""

from __future__ import annotations

from typing import Any, Final

from psp_adapters.sandbox_psp.refusals import Refusal, invalid
from psp_adapters.sandbox_psp.rules.disputes import MOVES, NETWORK_CODES, dispute_view
from psp_adapters.sandbox_psp.server.simulator import Simulator
from psp_adapters.sandbox_psp.state.records import Payment

_OPEN_FIELDS: Final = {
    *("payment_id", "reference", "order_id", "amount_minor", "reason", "inquiry"),
    "due_in_seconds",
}


def disputes_of(simulator: Simulator, query: dict[str, str]) -> list[dict[str, Any]]:
    """Every dispute, or those of one order, oldest first."""
    simulator.settle()
    found = list(simulator.truth.disputes.values())
    if "order_id" in query:
        found = [each for each in found if each.payment.order_id == query["order_id"]]
    return [dispute_view(dispute) for dispute in found]


def open_dispute(simulator: Simulator, body: dict[str, Any]) -> dict[str, Any]:
    """Dispute a payment, named by its id, its order or the reference of an operation."""
    now_ms = simulator.settle()
    if body.keys() - _OPEN_FIELDS:
        raise invalid("unknown field", code="unknown_field")
    payment = _payment_of(simulator, body)
    amount_minor = body.get("amount_minor", payment.captured_minor)
    reason = body.get("reason", "fraudulent")
    default_seconds = simulator.behavior.dispute_deadline_seconds
    due_in_seconds = body.get("due_in_seconds", default_seconds)
    if type(amount_minor) is not int or amount_minor < 0 or not isinstance(reason, str):
        raise invalid("amount_minor must be an integer, reason a text")
    if isinstance(due_in_seconds, bool) or not isinstance(due_in_seconds, int | float):
        raise invalid("due_in_seconds must be a number")
    dispute = simulator.rules.disputes.open(
        payment,
        amount_minor=amount_minor,
        reason=reason or next(iter(NETWORK_CODES)),
        inquiry=body.get("inquiry") is True,
        due_ms=now_ms + int(due_in_seconds * 1000),
        now_ms=now_ms,
    )
    return dispute_view(dispute)


def move_dispute(simulator: Simulator, address: str, body: dict[str, Any]) -> dict[str, Any]:
    """`disputes/{id}/{win|lose|escalate|prevent|close}`; `return_fee` gives the fee back."""
    now_ms = simulator.settle()
    _, dispute_id, move = [*address.split("/"), "", ""][:3]
    dispute = simulator.truth.disputes.get(dispute_id)
    if dispute is None or move not in MOVES:
        raise Refusal(404, "not_found", "no such dispute, or no such move")
    return_fee = body.get("return_fee") is True
    simulator.rules.disputes.move(
        dispute, move, now_ms=now_ms, behavior=simulator.behavior, return_fee=return_fee
    )
    return dispute_view(dispute)


def _payment_of(simulator: Simulator, body: dict[str, Any]) -> Payment:
    for payment in reversed(simulator.truth.payments.values()):
        references = {operation.reference for operation in payment.operations}
        if (
            body.get("payment_id") == payment.id
            or body.get("reference") in references - {""}
            or (payment.order_id and body.get("order_id") == payment.order_id)
        ):
            return payment
    raise Refusal(404, "not_found", "no such payment", code="payment_unknown")
