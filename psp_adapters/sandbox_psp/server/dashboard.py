"""Operations in the PSP's own dashboard, reached through the control API.

They have no API key, no idempotency key and, unless one is sent, no reference.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import unquote

from psp_adapters.sandbox_psp.refusals import Refusal, found, invalid
from psp_adapters.sandbox_psp.rules.recorder import Instruction
from psp_adapters.sandbox_psp.server.body_fields import (
    read_amount,
    read_flag,
    read_text,
    refuse_unknown,
)
from psp_adapters.sandbox_psp.server.simulator import Simulator
from psp_adapters.sandbox_psp.server.views import operation_view
from psp_adapters.sandbox_psp.state.records import Payment

_VERBS: Final = ("increment", "capture", "void", "refund")


def act_in_dashboard(simulator: Simulator, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Execute `payments/{id}/{verb}` or `orders/{order_id}/{verb}`. Returns the new operation.

    Without an amount it takes all that is left. `force` allows more than that.
    """
    match [unquote(part) for part in path.split("/")]:
        case ["payments", payment_id, verb] if verb in _VERBS:
            payment = simulator.truth.payments.get(payment_id)
        case ["orders", order_id, verb] if verb in _VERBS:
            payment = _newest_of(simulator, order_id)
        case _:
            raise Refusal(404, "not_found", "no such control address")
    payment = found(payment, "payment")
    now_ms = simulator.settle()
    operation = simulator.rules.modify(
        payment,
        _instruction(payment, verb, body),
        now_ms=now_ms,
        decline=None,
        forced=read_flag(body, "force", default=False) and verb in ("capture", "refund"),
    )
    return operation_view(operation, base_url=simulator.base_url)


def _newest_of(simulator: Simulator, order_id: str) -> Payment | None:
    payments = reversed(simulator.truth.payments.values())
    return next((each for each in payments if each.order_id == order_id), None)


def _instruction(payment: Payment, verb: str, body: dict[str, Any]) -> Instruction:
    refuse_unknown(body, {"amount_minor", "final", "reference", "force"})
    return Instruction(
        kind=verb,
        reference=read_text(body, "reference", most=200, default=""),
        amount_minor=_amount_minor(payment, verb, body),
        final=read_flag(body, "final", default=True),
    )


def _amount_minor(payment: Payment, verb: str, body: dict[str, Any]) -> int:
    if verb == "void":
        return 0
    if "amount_minor" in body or verb == "increment":
        return read_amount(body)
    if verb == "capture":
        left = payment.held_minor
    else:
        left = payment.captured_minor - payment.refunded_minor - payment.refund_pending_minor
    if left <= 0:
        raise invalid("nothing is left of it", code="nothing_left")
    return left
