"""Seeded bugs, for the test of the chaos test: each must be found. Never part of the product.

A bug is a function that changes the loaded product in one process. The entry modules beside this
one plant the bug that CHAOS_BUG names in API, workers, beat, relays and publisher.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Bug:
    """What a bug does, and which invariants find it; its code is in `planted`."""

    does: str
    found_by: frozenset[str]
    """At least one of these invariants must be violated; other violations do not count."""
    listed: int | None = None
    """Its number in the list of bugs in docs/chaos.md; None for one of our own."""


def _bug(does: str, *found_by: str, listed: int | None = None) -> Bug:
    return Bug(does, frozenset(found_by), listed)


BUGS: Final[dict[str, Bug]] = {
    "new_psp_key_per_retry": _bug("every attempt at the PSP has a key of its own", "I9", listed=1),
    "unknown_is_declined": _bug("a timeout or 5xx counts as declined", "I3", listed=2),
    "replayed_error_is_final": _bug(
        "recovery only repeats the key; a 5xx that the PSP stored for it counts as declined",
        "I3",
        listed=3,
    ),
    "no_order_guard": _bug("an order may have several charges", "I1", listed=4),
    "refund_without_limits": _bug(
        "refunds neither lock nor count what was refunded", "I7", "I15", listed=5
    ),
    "events_behind_a_cursor": _bug(
        "the relay takes only events after the newest it took: late commits are skipped",
        "I10",
        listed=6,
    ),
    "no_delivery_order": _bug(
        "the relay sends all events of a payment at once, not in order",
        "I10",
        listed=7,
    ),
    "notifications_are_not_deduplicated": _bug(
        "a duplicate notification is stored twice", "M", listed=8
    ),
    "not_found_is_final": _bug(
        "an operation that the PSP does not find yet counts as failed", "I3", "I5", "I1", listed=10
    ),
    "books_after_commit": _bug(
        "the ledger is posted later, outside the transaction", "I6", listed=11
    ),
    "unknown_is_not_sent": _bug(
        "a timeout or 5xx counts as not sent, so the key charges again", "I1", "I5", "I10"
    ),
    "idempotency_key_is_ignored": _bug("a repeated idempotency key runs the request again", "I8"),
    "recovery_charges_again": _bug(
        "recovery sends a new charge instead of a look-up", "I9", "I5", "I7"
    ),
    "answer_before_outcome": _bug("success is answered before the PSP was called", "I2"),
    "idempotency_keys_are_deleted": _bug("idempotency keys are deleted after three seconds", "I8"),
    "unknown_is_never_looked_up": _bug("unknown outcomes are never looked up at the PSP", "I4"),
    "nothing_is_sent_again": _bug(
        "a change or refund that never reached the PSP is given up, though it was accepted", "I16"
    ),
    "settlement_lines_start_no_look_up": _bug(
        "a settlement line of an unknown operation starts no look-up", "I13"
    ),
    "adoption_leaves_the_hold": _bug(
        "late and external outcomes are booked one by one, and what the PSP holds is not compared",
        "I5",
    ),
    "fails_over_while_unknown": _bug(
        "a charge of unknown outcome goes on at another account", "I1"
    ),
    "notifications_are_not_verified": _bug("a notification needs no signature", "M"),
}

PSP_BEHAVIOR: Final[dict[str, dict[str, Any]]] = {
    "not_found_is_final": {
        "drop_after": 0.1,
        "not_found_lag_seconds": 4.0,
        "webhooks": {"lose": 0.5, "delay_seconds": [5, 20]},
    },
    "nothing_is_sent_again": {"drop_before": 0.2, "cache_errors": 0.5, "error_before": 0.2},
    "settlement_lines_start_no_look_up": {"webhooks": {"lose": 1.0}},
    "fails_over_while_unknown": {
        "drop_after": 0.2,
        "webhooks": {"lose": 0.5, "delay_seconds": [5, 20]},
    },
    "replayed_error_is_final": {
        "error_after": 0.2,
        "cache_errors": 0.5,
        "webhooks": {"lose": 0.5, "delay_seconds": [5, 20]},
    },
}
"""The PSP's behavior during the whole hunt for this bug. With the usual behavior a late outcome
repairs its harm, nearly always before a client pays again, and runs would need thousands of
payments."""
