"""What our own groups do with events: working examples, to be copied.

Each runs inside the transaction that records the event as consumed, so it happens once. Effects may
not call the network.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from ledger.database.statements import execute
from payments import public_ids
from payments.services.event_stream.consuming import Effect
from payments.services.event_stream.message import Message

_COUNT: Final = """
    INSERT INTO payments_card_velocity AS v
           (merchant_id, livemode, fingerprint, hour, charges, declines)
    VALUES (%s, %s, %s, %s, 1, %s)
    ON CONFLICT (merchant_id, livemode, fingerprint, hour) DO UPDATE
       SET charges = v.charges + 1, declines = v.declines + excluded.declines"""
_CHARGED: Final = frozenset({"charge.succeeded", "charge.failed"})


def count_card_velocity(message: Message) -> None:
    """Fraud: count charges and declines of each card per merchant and hour."""
    if message.type not in _CHARGED:
        return
    charge = message.data["object"]
    card = (charge.get("payment_method_details") or {}).get("card") or {}
    if not card.get("fingerprint"):
        return
    hour = datetime.fromtimestamp(charge["created"], UTC).replace(minute=0, second=0)
    execute(
        _COUNT,
        [
            public_ids.decode(public_ids.MERCHANT, message.merchant),
            message.livemode,
            card["fingerprint"],
            hour,
            int(message.type == "charge.failed"),
        ],
    )


def keep_journal(message: Message) -> None:
    """Finance and support: nothing beyond the record that the event was consumed."""


EFFECTS: Final[dict[str, Effect]] = {
    "finance": keep_journal,
    "support": keep_journal,
    "fraud": count_card_velocity,
}
"""By group."""
