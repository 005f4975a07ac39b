"""Scripted late outcomes: an operation that had succeeded fails, or one that had failed succeeds.

A token or the control API causes them.
"""

from __future__ import annotations

from typing import Final

from psp_adapters.sandbox_psp.refusals import forbidden_now
from psp_adapters.sandbox_psp.rules.recorder import Recorder
from psp_adapters.sandbox_psp.state.records import Operation
from psp_adapters.sandbox_psp.tokens import NOT_DECLINED, TOKENS, Decline

RETURNED: Final = Decline("returned", "insufficient_funds", "The bank returned the payment.")
_REFUND_FAILED: Final = Decline("refund_failed", "expired_or_canceled_card", "The refund failed.")
_FAILED_EFFECT: Final = {
    "authorize": "authorize_failed",
    "increment": "increment_failed",
    "capture": "capture_failed",
    "void": "void_failed",
    "refund": "refund_failed",
}


def fail(recorder: Recorder, operation: Operation, now_ms: int, *, keep_hold: bool = True) -> None:
    """Reverse an operation that had succeeded; `keep_hold` leaves a failed capture's hold open."""
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
    """Execute an operation after all that had failed, or was declined or canceled."""
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
        if missing > 0:  # the hold was reopened, or the PSP captures without one
            recorder.effect(operation, "increment", missing, now_ms)
        released = payment.held_minor - operation.amount_minor if operation.final else 0
    if amount_minor:
        recorder.effect(operation, operation.kind, amount_minor, now_ms, released=released)


def has_scripted_revision(operation: Operation) -> bool:
    """Whether the token scripts a late outcome of this operation."""
    revision = TOKENS[operation.payment.token].revision
    captures = operation.kind == "capture" or (
        operation.kind == "authorize" and operation.payment.capture
    )
    if revision in ("reversed", "reversed_then_reinstated"):
        return captures and operation.status == "succeeded" and operation.status_changes < 3
    return (
        revision == "late_success"
        and operation.kind == "authorize"
        and operation.status == "declined"
    )


def apply_scripted_revision(recorder: Recorder, operation: Operation, at_ms: int) -> None:
    """Apply the late outcome that the token scripts for this operation."""
    revision = TOKENS[operation.payment.token].revision
    if operation.status == "succeeded" and revision in ("reversed", "reversed_then_reinstated"):
        fail(recorder, operation, at_ms)
        if revision == "reversed_then_reinstated":
            recorder.due_again(operation, at_ms)
    elif (operation.status == "failed" and revision == "reversed_then_reinstated") or (
        operation.status == "declined" and revision == "late_success"
    ):
        succeed(recorder, operation, at_ms)
