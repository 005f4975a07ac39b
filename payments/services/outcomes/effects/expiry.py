"""A hold that ran out at the PSP: what follows for books, status, order and events.

Pure: changes rows in memory. What may not live here: noticing it, writing it, SQL.
"""

from __future__ import annotations

from typing import Final

from ledger import posting_rules as rules
from ledger.money import Money
from payments.services.cases.opening import case_about_operation
from payments.services.outcomes.change import Change
from payments.services.outcomes.effects.intent_status import hold_is_over
from payments.states import CaseKind

REASON: Final = "expired"
"""The `cancellation_reason` of a payment whose hold ran out."""
REFUSED_CODE: Final = "charge_expired_for_capture"
"""With this code a capture or void is refused that came too late."""


def expire_hold(change: Change, amount: Money) -> None:
    """The PSP let go `amount` by itself; by our books everything that was held is gone.

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
