"""Applies the expiry of an authorization at the PSP: books, status, order and events."""

from __future__ import annotations

from typing import Final

from ledger import posting_rules as rules
from ledger.money import Money
from payments.services.cases.opening import case_about_operation
from payments.services.outcomes.change import Change
from payments.services.outcomes.effects.intent_status import hold_is_over
from payments.states import CaseKind

REASON: Final = "expired"
"""The `cancellation_reason` of a payment whose authorization expired."""
REFUSED_CODE: Final = "charge_expired_for_capture"
"""With this code a capture or void is refused that came too late."""


def expire_hold(change: Change, amount: Money) -> None:
    """Book all that was held as expired; open a case if the PSP released another amount.

    A payment of which parts were captured ends as captured, any other as canceled, and its order
    may be paid again.
    """
    held = change.intent.capturable
    change.post(rules.expired, held)
    if amount != held:
        summary = f"{amount} ran out at the provider, our books held {held}"
        change.cases.append(
            case_about_operation(CaseKind.CONTRADICTION, change.charge, summary, amount=held)
        )
    captured_before = bool(change.intent.amount_captured_minor)
    change.emit("charge.updated" if captured_before else "charge.expired", "charge")
    hold_is_over(change, reason=REASON)
    if not captured_before:
        change.emit("payment_intent.canceled", "intent")
