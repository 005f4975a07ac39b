"""Seeded bugs, for the test of the chaos test: each must be found. Never part of the product.

A bug is a function that changes the loaded product in one process; the entry modules beside this
one plant the bug that CHAOS_BUG names in API, workers, beat, relays and publisher.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Bug:
    """What a bug does, and what must find it; its code is in `planted`."""

    does: str
    found_by: frozenset[str]
    """At least one of these invariants must be violated: harm of another kind is no finding."""
    listed: int | None = None
    """Its number in the list of bugs in docs/chaos.md; None: one of our own."""


def _bug(does: str, *found_by: str, listed: int | None = None) -> Bug:
    return Bug(does, frozenset(found_by), listed)


BUGS: Final[dict[str, Bug]] = {
    "new_psp_key_per_retry": _bug("every try at the PSP has a key of its own", "I9", listed=1),
    "doubt_is_a_decline": _bug("a timeout or 5xx is taken for a decline", "I3", listed=2),
    "kept_error_is_final": _bug(
        "recovery only repeats the key, and takes a 5xx (which PSPs keep) for a decline",
        "I3",
        listed=3,
    ),
    "no_order_guard": _bug("an order may have several charges", "I1", listed=4),
    "refund_without_limits": _bug(
        "refunds neither lock nor count what was refunded", "I7", "I15", listed=5
    ),
    "events_behind_a_cursor": _bug(
        "the relay takes events after the newest it took: what commits late is passed over",
        "I10",
        listed=6,
    ),
    "no_line_per_payment": _bug(
        "the relay tries all events of a payment at once, not one after the other",
        "I10",
        listed=7,
    ),
    "notices_are_not_deduplicated": _bug(
        "a notification that comes twice is stored twice", "M", listed=8
    ),
    "not_found_is_final": _bug(
        "an operation that the PSP does not find yet has failed", "I3", "I5", "I1", listed=10
    ),
    "books_after_commit": _bug(
        "the ledger is posted later, outside the transaction", "I6", listed=11
    ),
    "doubt_is_not_sent": _bug(
        "a timeout or 5xx is taken for never sent, so the key charges again", "I1", "I5", "I10"
    ),
    "key_is_ignored": _bug("a repeated idempotency key runs the request again", "I8"),
    "recovery_charges_again": _bug(
        "recovery sends a new charge instead of asking", "I9", "I5", "I7"
    ),
    "answer_before_outcome": _bug("success is answered before the PSP was asked", "I2"),
    "keys_are_forgotten": _bug("idempotency keys are deleted after three seconds", "I8"),
    "doubt_is_forgotten": _bug("nobody asks the PSP about what is in doubt", "I4"),
    "lines_ask_nobody": _bug(
        "a settlement line of something that we do not know has nobody asked about it", "I13"
    ),
    "notices_are_not_verified": _bug("a notification needs no signature", "M"),
}

WEATHER: Final[dict[str, dict[str, Any]]] = {
    "not_found_is_final": {
        "drop_after": 0.1,
        "not_found_lag_seconds": 4.0,
        "webhooks": {"lose": 0.5, "delay_seconds": [5, 20]},
    },
    "lines_ask_nobody": {"webhooks": {"lose": 1.0}},
    "kept_error_is_final": {
        "error_after": 0.2,
        "cache_errors": 0.5,
        "webhooks": {"lose": 0.5, "delay_seconds": [5, 20]},
    },
}
"""How a PSP behaves all the time while this bug is hunted. In usual weather a late word heals what
it breaks, nearly always before anybody pays again: it would take runs of thousands of payments."""
