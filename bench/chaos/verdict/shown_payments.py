"""Compares what merchants are shown of a payment with the PSP, and with an earlier answer. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from bench.chaos.platform.psp_payments import MovedMoney


def differences_of_amounts(final: dict[str, Any], moved: MovedMoney) -> Iterator[str]:
    """What differs between the received and refunded amounts and those of the PSP."""
    captured, refunded = moved.captured_minor, moved.refunded_minor
    if final["received"] != captured:
        yield f"shown as received {final['received']}, the PSP captured {captured}"
    if captured and final.get("refunded", 0) != refunded:
        yield f"shown as refunded {final.get('refunded')}, the PSP refunded {refunded}"


def differences_of_status(final: dict[str, Any], moved: MovedMoney) -> Iterator[str]:
    """What differs between status and capturable amount, and what the PSP did."""
    status = final["status"]
    if status == "requires_capture" and final["capturable"] != moved.held_minor:
        yield f"shown as capturable {final['capturable']}, the PSP holds {moved.held_minor}"
    if status not in _statuses_of(moved):
        yield f"shown as {status}, the PSP did {', '.join(moved.kinds) or 'nothing'}"


def _statuses_of(moved: MovedMoney) -> set[str]:
    if moved.captured_minor:
        return {"succeeded", "requires_capture"} if moved.held_minor else {"succeeded"}
    if moved.held_minor:
        return {"requires_capture"}
    if moved.authorized_minor and not moved.was_reversed:
        return {"canceled"}
    return {"requires_payment_method", "requires_confirmation", "canceled"}


def why_not_after(before: dict[str, Any], after: dict[str, Any]) -> str:
    """Why a payment cannot first be `before` and then `after`; empty if it can."""
    was, is_now = before["status"], after["status"]
    allowed = _MAY_BECOME.get(was)
    if allowed is not None and is_now not in allowed:
        return f"{was}, then {is_now}"
    if after["received"] < before["received"]:
        return f"{before['received']} received, then {after['received']}"
    return ""


_MAY_BECOME: Final = {
    "succeeded": {"succeeded"},
    "canceled": {"canceled"},
    "requires_capture": {"requires_capture", "processing", "succeeded", "canceled"},
}
