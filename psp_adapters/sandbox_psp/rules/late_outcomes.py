"""Second thoughts of a PSP: what had succeeded fails, what had failed succeeds after all.

Asked for by a token or over the control API. What may not live here: HTTP, chance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from psp_adapters.sandbox_psp.refusals import forbidden_now
from psp_adapters.sandbox_psp.tokens import TOKENS, Decline

if TYPE_CHECKING:
    from psp_adapters.sandbox_psp.rules.payments import Rules
    from psp_adapters.sandbox_psp.state.records import Operation

RETURNED: Final = Decline("returned", "insufficient_funds", "The money was taken back.")
_REFUND_FAILED: Final = Decline("refund_failed", "expired_or_canceled_card", "The refund failed.")
_NOTHING: Final = Decline("", "", "")
_FAILED_EFFECT: Final = {
    "authorize": "authorize_failed",
    "increment": "increment_failed",
    "capture": "capture_failed",
    "void": "void_failed",
    "refund": "refund_failed",
}


def fail(rules: Rules, operation: Operation, now_ms: int, *, keep_hold: bool = True) -> None:
    """Undo what had succeeded; a failed capture leaves the hold open unless told otherwise."""
    payment, amount_minor = operation.payment, operation.amount_minor
    if operation.status != "succeeded":
        raise forbidden_now("not_succeeded", "only what succeeded can fail later")
    reason = _REFUND_FAILED if operation.kind == "refund" else RETURNED
    rules.set_status(operation, "failed", reason, now_ms)
    released = 0
    if operation.kind == "authorize" and payment.captured_minor:
        rules.effect(operation, "capture_failed", payment.captured_minor, now_ms)
    if operation.kind == "authorize":
        amount_minor = payment.held_minor
    if operation.kind == "capture":
        released = operation.released_minor
    if amount_minor:
        kind = _FAILED_EFFECT[operation.kind]
        rules.effect(operation, kind, amount_minor, now_ms, released=released)
    if operation.kind == "capture" and not keep_hold and payment.held_minor:
        rules.effect(payment.operations[0], "expire", payment.held_minor, now_ms)


def succeed(rules: Rules, operation: Operation, now_ms: int) -> None:
    """Do after all what had been refused, had failed, or was given up."""
    payment = operation.payment
    if operation.status not in ("failed", "declined", "canceled"):
        raise forbidden_now("not_refused", "only what did not happen can happen after all")
    rules.set_status(operation, "succeeded", _NOTHING, now_ms)
    if operation.kind == "authorize":
        rules.money_arrived(operation, now_ms)
        return
    amount_minor = payment.held_minor if operation.kind == "void" else operation.amount_minor
    released = 0
    if operation.kind == "capture":
        missing = operation.amount_minor - payment.held_minor
        if missing > 0:  # it was held once more, or is taken without being held
            rules.effect(operation, "increment", missing, now_ms)
        released = payment.held_minor - operation.amount_minor if operation.final else 0
    if amount_minor:
        rules.effect(operation, operation.kind, amount_minor, now_ms, released=released)


def is_due_after(operation: Operation) -> bool:
    """Does the token want a second thought of this operation?"""
    second_thought = TOKENS[operation.payment.token].second_thought
    taken = operation.kind == "capture" or (
        operation.kind == "authorize" and operation.payment.capture
    )
    if second_thought in ("fails", "fails_then_heals"):
        return taken and operation.status == "succeeded" and operation.moves < 3
    return (
        second_thought == "paid"
        and operation.kind == "authorize"
        and operation.status == "declined"
    )


def think_again(rules: Rules, operation: Operation, at_ms: int) -> None:
    """The moment has come."""
    second_thought = TOKENS[operation.payment.token].second_thought
    if operation.status == "succeeded" and second_thought in ("fails", "fails_then_heals"):
        fail(rules, operation, at_ms)
        if second_thought == "fails_then_heals":
            rules.due_again(operation, at_ms)
    elif (operation.status == "failed" and second_thought == "fails_then_heals") or (
        operation.status == "declined" and second_thought == "paid"
    ):
        succeed(rules, operation, at_ms)
