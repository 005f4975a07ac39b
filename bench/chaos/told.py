"""What was told of a payment against what became of it: nothing silently, nothing by nobody. Pure.

I12 as far as the product has it: events are its trail of what was done, by whom. The chain of
hashes over it is yet to come. What may not live here: deliveries (`deliveries`), reading.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

# What tells of an operation that ended so; a void may end a hold, or what was left of one.
_TELLS: Final[Mapping[tuple[str, str], frozenset[str]]] = {
    ("authorize", "SUCCEEDED"): frozenset({"charge.succeeded", "charge.updated"}),
    ("authorize", "DECLINED"): frozenset({"charge.failed"}),
    ("capture", "SUCCEEDED"): frozenset({"charge.captured"}),
    ("refund", "SUCCEEDED"): frozenset({"charge.refunded"}),
    ("void", "SUCCEEDED"): frozenset({"charge.updated", "payment_intent.succeeded"}),
}


def silences_of(
    operations: Sequence[Mapping[str, Any]], events: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[str, str]]:
    """Every payment with something that was not told, or that nobody did: (intent, what)."""
    told: dict[str, Counter[str]] = defaultdict(Counter)
    for event in events:
        told[event["intent"]][event["type"]] += 1
        if not event["actor"]:
            yield event["intent"], f"{event['type']} ({event['id']}) names nobody who did it"
    ended: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    for row in operations:
        ended[row["intent"]][row["kind"], row["status"]] += 1
        if not row["actor"]:
            yield row["intent"], f"{row['reference']} names nobody who asked for it"
    for intent, counts in ended.items():
        if told[intent]["payment_intent.created"] != 1:
            yield intent, f"its making was told {told[intent]['payment_intent.created']} times"
        for (kind, status), count in counts.items():
            tells = _TELLS.get((kind, status))
            if tells and sum(told[intent][each] for each in tells) < count:
                yield intent, f"{count} {kind} {status.lower()}, and {sorted(tells)} was told less"
