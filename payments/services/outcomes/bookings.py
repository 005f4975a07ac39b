"""Lists what each posting rule implies: its counter, its availability, the column that names it.

Rules are named as in the books. A rule that is missing from a table moves no counter, is available
at once, or is named by no column.
"""

from __future__ import annotations

from typing import Final

from ledger.chart import Direction
from ledger.posting_rules import EntryType, Posting

COUNTERS: Final = {
    "authorized": "amount_authorized_minor",
    "authorization_incremented": "amount_authorized_minor",
    "captured": "amount_captured_minor",
}
"""The counter of the intent that a rule raises, and its reversal lowers."""

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

_HELD: Final = 9100


def added_to_hold_minor(posting: Posting) -> int:
    """What a posting adds to the payment's own hold, in minor units; negative if it lowers it."""
    added_minor = 0
    for line in posting.lines:
        if line.account.code == _HELD and line.entry_type is not EntryType.EXCESS:
            sign = 1 if line.direction is Direction.DEBIT else -1
            added_minor += sign * line.amount.minor
    return added_minor
