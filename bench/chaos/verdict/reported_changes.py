"""What was told of a payment against what became of it: nothing silently, nothing by nobody. Pure.

I12 as far as the product has it: events are its trail of what was done, by whom. The chain of
hashes over it is yet to come. What may not live here: deliveries (`deliveries`), reading.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

Row = Mapping[str, Any]
Tells = frozenset[str]
"""Types of which any one tells of the same thing."""


def _one_of(*types: str) -> Tells:
    return frozenset(types)


# A void may end a hold, what was left of one, or a second hold that was one too many.
_LET_GO: Final = _one_of("charge.updated", "payment_intent.succeeded", "charge.refunded")
# What tells of an operation that ended so: one event of each, which then tells of nothing else.
_TELLS: Final[Mapping[tuple[str, str], tuple[Tells, ...]]] = {
    ("authorize", "SUCCEEDED"): (_one_of("charge.succeeded"),),
    ("authorize", "EXCESS"): (_one_of("charge.succeeded"),),
    ("authorize", "DECLINED"): (_one_of("charge.failed"),),
    ("authorize", "TAKEN_BACK"): (_one_of("charge.succeeded"), _one_of("charge.failed")),
    ("authorize", "CANCELED"): (_one_of("payment_intent.canceled"),),
    ("capture", "SUCCEEDED"): (_one_of("charge.captured"),),
    ("capture", "TAKEN_BACK"): (_one_of("charge.captured"), _one_of("charge.updated")),
    ("increment", "SUCCEEDED"): (
        _one_of("charge.updated", "payment_intent.amount_capturable_updated"),
    ),
    ("refund", "SUCCEEDED"): (_one_of("charge.refunded"),),
    ("refund", "DECLINED"): (_one_of("refund.failed"),),
    ("refund", "TAKEN_BACK"): (_one_of("charge.refunded"), _one_of("refund.failed")),
    ("void", "SUCCEEDED"): (_LET_GO,),
    ("void", "TAKEN_BACK"): (_LET_GO, _one_of("charge.updated")),
}
_ENDED_BY_ITS_VOID: Final = _one_of(
    "charge.succeeded", "payment_intent.canceled", "payment_intent.succeeded"
)
"""A charge that was open when it was voided has nothing to tell but that the payment is over."""


def silences_of(operations: Sequence[Row], events: Sequence[Row]) -> Iterator[tuple[str, str]]:
    """Every payment with something that was not told, or that nobody did: (intent, what)."""
    told: dict[str, Counter[str]] = defaultdict(Counter)
    for event in events:
        told[event["intent"]][event["type"]] += 1
        if not event["actor"]:
            yield event["intent"], f"{event['type']} ({event['id']}) names nobody who did it"
    of_intent: dict[str, list[Row]] = defaultdict(list)
    for row in operations:
        of_intent[row["intent"]].append(row)
        if not row["actor"]:
            yield row["intent"], f"{row['reference']} names nobody who asked for it"
    for intent, rows in of_intent.items():
        if told[intent]["payment_intent.created"] != 1:
            yield intent, f"its making was told {told[intent]['payment_intent.created']} times"
        for row, tells in _untold(rows, told[intent]):
            what = f"{row['kind']} {row['status'].lower()} ({row['reference']})"
            yield intent, f"{what}, and no {' or '.join(sorted(tells))} is left to tell of it"


def _untold(rows: Sequence[Row], told: Mapping[str, int]) -> Iterator[tuple[Row, Tells]]:
    """What no event is left for, however they are given out: each tells of one thing only."""
    wanted = [(row, tells) for row in rows for tells in _tells_of(row, rows)]
    given: dict[str, list[int]] = defaultdict(list)
    for number, (row, tells) in enumerate(wanted):
        if not _give(number, wanted, told, given, set()):
            yield row, tells


def _give(
    number: int,
    wanted: Sequence[tuple[Row, Tells]],
    told: Mapping[str, int],
    given: dict[str, list[int]],
    tried: set[str],
) -> bool:
    """Give one event to this want; whoever had it takes another one where there is one."""
    for type_ in sorted(wanted[number][1] - tried):
        tried.add(type_)
        if len(given[type_]) < told.get(type_, 0):
            given[type_].append(number)
            return True
        for place, other in enumerate(given[type_]):
            if _give(other, wanted, told, given, tried):
                given[type_][place] = number
                return True
    return False


def _tells_of(row: Row, rows: Sequence[Row]) -> tuple[Tells, ...]:
    tells = _TELLS.get((row["kind"], row["status"]), ())
    if (row["kind"], row["status"]) == ("authorize", "SUCCEEDED") and _voided_open(row, rows):
        return (_ENDED_BY_ITS_VOID,)
    return tells


def _voided_open(charge: Row, rows: Sequence[Row]) -> bool:
    """Did the charge end after a void of it had begun? Then the void may have ended it."""
    return any(
        row["kind"] == "void"
        and row["status"] == "SUCCEEDED"
        and charge["closed_at"] is not None
        and row["created_at"] < charge["closed_at"]
        for row in rows
    )
