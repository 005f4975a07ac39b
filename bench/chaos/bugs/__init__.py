"""Seeded bugs, for the test of the chaos test: each must be found. Never part of the product.

A bug is a function that changes the loaded product in one process; the entry modules beside this
one plant the bug that CHAOS_BUG names in API and worker.
"""

from __future__ import annotations

from typing import Any, Final

BUGS: Final[dict[str, str]] = {
    "new_psp_key_per_retry": "every try at the PSP has a key of its own",
    "doubt_is_a_decline": "a timeout or 5xx is taken for a decline",
    "doubt_is_not_sent": "a timeout or 5xx is taken for never sent, so the key charges again",
    "no_order_guard": "an order may have several charges",
    "refund_without_limits": "refunds neither lock nor count what was refunded",
    "not_found_is_final": "an operation that the PSP does not find yet has failed",
    "books_after_commit": "the ledger is posted later, outside the transaction",
    "key_is_ignored": "a repeated idempotency key runs the request again",
    "recovery_charges_again": "recovery sends a new charge instead of asking",
    "answer_before_outcome": "success is answered before the PSP was asked",
    "keys_are_forgotten": "idempotency keys are deleted after three seconds",
    "doubt_is_forgotten": "nobody asks the PSP about what is in doubt",
    "notices_are_not_deduplicated": "a notification that comes twice is stored twice",
    "notices_are_not_verified": "a notification needs no signature",
}
"""What each does, by name; the code is in `planted`."""

WEATHER: Final[dict[str, dict[str, Any]]] = {
    "not_found_is_final": {
        "drop_after": 0.1,
        "not_found_lag_seconds": 4.0,
        "webhooks": {"lose": 0.5, "delay_seconds": [5, 20]},
    },
}
"""How a PSP behaves all the time while this bug is hunted. In usual weather a late word heals what
it breaks, nearly always before anybody pays again: it would take runs of thousands of payments."""
