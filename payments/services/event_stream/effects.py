"""What our own groups do with events: working examples, to be copied.

Each runs inside the transaction that records its events as consumed, so it happens once. Effects
may not call the network.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from ledger.database.statements import execute
from payments import public_ids
from payments.services.event_stream.consuming import Effect, EffectOfMany
from payments.services.event_stream.message import Message

_COUNT: Final = """
    INSERT INTO payments_card_velocity AS v
           (merchant_id, livemode, fingerprint, hour, charges, declines)
    SELECT * FROM unnest(%s::uuid[], %s::bool[], %s::text[], %s::timestamptz[], %s::int[],
                         %s::int[])
    ON CONFLICT (merchant_id, livemode, fingerprint, hour) DO UPDATE
       SET charges = v.charges + excluded.charges, declines = v.declines + excluded.declines"""
_CHARGED: Final = frozenset({"charge.succeeded", "charge.failed"})


def count_card_velocity(message: Message) -> None:
    """Fraud: count charges and declines of each card per merchant and hour."""
    count_card_velocities([message])


def count_card_velocities(messages: Sequence[Message]) -> None:
    """The same for many events, in one statement."""
    charges: Counter[tuple[Any, ...]] = Counter()
    declines: Counter[tuple[Any, ...]] = Counter()
    for message in messages:
        if message.type not in _CHARGED:
            continue
        charge = message.data["object"]
        card = (charge.get("payment_method_details") or {}).get("card") or {}
        if card.get("fingerprint"):
            hour = datetime.fromtimestamp(charge["created"], UTC).replace(minute=0, second=0)
            merchant_id = public_ids.decode(public_ids.MERCHANT, message.merchant)
            counted = (merchant_id, message.livemode, card["fingerprint"], hour)
            charges[counted] += 1
            declines[counted] += message.type == "charge.failed"
    if charges:
        # In one order, so that two consumers cannot deadlock.
        keys = sorted(charges)
        columns = [list(each) for each in zip(*keys, strict=True)]
        execute(_COUNT, [*columns, [charges[k] for k in keys], [declines[k] for k in keys]])


def do_nothing(message: Message) -> None:
    """Finance and support: nothing beyond the record that the event was consumed."""


EFFECTS: Final[dict[str, Effect]] = {
    "finance": do_nothing,
    "support": do_nothing,
    "fraud": count_card_velocity,
}
"""By group."""
EFFECTS_OF_MANY: Final[dict[str, EffectOfMany]] = {"fraud": count_card_velocities}
"""By group, where there is one."""
