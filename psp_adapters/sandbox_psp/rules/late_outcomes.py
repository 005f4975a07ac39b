"""Second thoughts of a PSP: what had succeeded fails, what had failed succeeds after all.

Asked for by a token or over the control API. What may not live here: HTTP, chance.
"""

from __future__ import annotations

from typing import Final

from psp_adapters.sandbox_psp.refusals import forbidden_now
from psp_adapters.sandbox_psp.rules.recorder import Recorder
from psp_adapters.sandbox_psp.state.records import Operation
from psp_adapters.sandbox_psp.tokens import NOT_DECLINED, TOKENS, Decline

RETURNED: Final = Decline("returned", "insufficient_funds", "The money was taken back.")
_REFUND_FAILED: Final = Decline("refund_failed", "expired_or_canceled_card", "The refund failed.")
_FAILED_EFFECT: Final = {
    "authorize": "authorize_failed",
    "increment": "increment_failed",
    "capture": "capture_failed",
    "void": "void_failed",
    "refund": "refund_failed",
}


def fail(recorder: Recorder, operation: Operation, now_ms: int, *, keep_hold: bool = True) -> None:
    """Undo what had succeeded; a failed capture leaves the hold open unless told otherwise."""
    payment, amount_minor = operation.payment, operation.amount_minor
    if operation.status != "succeeded":
        raise forbidden_now("not_succeeded", "only what succeeded can fail later")
    reason = _REFUND_FAILED if operation.kind == "refund" else RETURNED
    recorder.set_status(operation, "failed", reason, now_ms)
    released = 0
    if operation.kind == "authorize" and payment.captured_minor:
        recorder.effect(operation, "capture_failed", payment.captured_minor, now_ms)
    if operation.kind == "authorize":
        amount_minor = payment.held_minor
    if operation.kind == "capture":
        released = operation.released_minor
    if amount_minor:
        kind = _FAILED_EFFECT[operation.kind]
        recorder.effect(operation, kind, amount_minor, now_ms, released=released)
    if operation.kind == "capture" and not keep_hold and payment.held_minor:
        recorder.effect(payment.operations[0], "expire", payment.held_minor, now_ms)


def succeed(recorder: Recorder, operation: Operation, now_ms: int) -> None:
    """Do after all what had been refused, had failed, or was given up."""
    payment = operation.payment
    if operation.status not in ("failed", "declined", "canceled"):
        raise forbidden_now("not_refused", "only what did not happen can happen after all")
    recorder.set_status(operation, "succeeded", NOT_DECLINED, now_ms)
    if operation.kind == "authorize":
        recorder.money_arrived(operation, now_ms)
        return
    amount_minor = payment.held_minor if operation.kind == "void" else operation.amount_minor
    released = 0
    if operation.kind == "capture":
        missing = operation.amount_minor - payment.held_minor
        if missing > 0:  # it was held once more, or is taken without being held
            recorder.effect(operation, "increment", missing, now_ms)
        released = payment.held_minor - operation.amount_minor if operation.final else 0
    if amount_minor:
        recorder.effect(operation, operation.kind, amount_minor, now_ms, released=released)


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


def think_again(recorder: Recorder, operation: Operation, at_ms: int) -> None:
    """The moment has come."""
    second_thought = TOKENS[operation.payment.token].second_thought
    if operation.status == "succeeded" and second_thought in ("fails", "fails_then_heals"):
        fail(recorder, operation, at_ms)
        if second_thought == "fails_then_heals":
            recorder.due_again(operation, at_ms)
    elif (operation.status == "failed" and second_thought == "fails_then_heals") or (
        operation.status == "declined" and second_thought == "paid"
    ):
        succeed(recorder, operation, at_ms)
