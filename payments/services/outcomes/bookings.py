"""Tables per posting rule: which amounts it moves, when its money is available, and which column of
the operation keeps its transaction's id.

Rules are named as in the books. A rule that is missing from a table moves no amount, is available
at once, or is kept in no column.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_AUTHORIZED: Final = {"authorized": 1, "held": 1}
_RELEASED: Final = {"held": -1}
_CAPTURED: Final = {"captured": 1}
_REFUNDED: Final = {"refunded": 1}
OWN: Final[Mapping[str, Mapping[str, int]]] = {
    "authorized": _AUTHORIZED,
    "authorization_incremented": _AUTHORIZED,
    "capture_memo": _RELEASED,
    "captured": _CAPTURED,
    "released": _RELEASED,
    "voided": _RELEASED,
    "expired": _RELEASED,
    "hold_reopened": {"held": 1},
    "refund_requested": _REFUNDED,
    "refund_failed": {"refunded": -1},
}
EXCESS: Final[Mapping[str, Mapping[str, int]]] = {
    "excess_authorized": _AUTHORIZED,
    "excess_capture_memo": _RELEASED,
    "excess_captured": _CAPTURED,
    "excess_released": _RELEASED,
    "excess_hold_reopened": {"held": 1},
    "excess_refund_requested": _REFUNDED,
    "excess_refund_failed": {"refunded": -1},
}
VECTOR: Final = {**OWN, **EXCESS}
"""What a rule adds to the components of a charge's vector: 1 or -1 times its amount."""

COUNTERS: Final = {
    rule: {f"amount_{name}_minor": sign for name, sign in effect.items() if name != "refunded"}
    for rule, effect in OWN.items()
}
"""The same for the intent's counters, which duplicate charges leave alone. Refunds are counted by
their status."""

AVAILABLE_AFTER_SETTLEMENT: Final = frozenset({"captured", "platform_fee", "excess_captured"})
"""Money of a capture is available after the settlement delay of its PSP account."""
AVAILABLE_WITH_CHARGE: Final = frozenset(
    {"refund_requested", "refund_failed", "excess_refund_requested", "excess_refund_failed"}
)
"""A refund of money that is not available yet is taken from that money, on the same day."""

BALANCE_TRANSACTION: Final = frozenset(
    {"captured", "refund_requested", "excess_captured", "excess_refund_requested"}
)
"""The operation's `balance_transaction_id` names the transaction that one of these wrote."""
FAILURE_BALANCE_TRANSACTION: Final = frozenset(
    {
        "reversal_of_captured",
        "refund_failed",
        "reversal_of_excess_captured",
        "excess_refund_failed",
    }
)
"""`failure_balance_transaction_id` names the transaction that one of these wrote."""
