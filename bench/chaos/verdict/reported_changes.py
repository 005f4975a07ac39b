"""Checks that events report every change of a payment, and name its actor. Pure.

I12 as far as the product has it: events are the audit trail. The hash chain over them is yet to
come.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

Row = Mapping[str, Any]
EventTypes = frozenset[str]
"""Types of events, any one of which reports the same change."""


def _one_of(*types: str) -> EventTypes:
    return frozenset(types)


# A void may release a hold, the rest of one, or the hold of a duplicate charge.
_RELEASE: Final = _one_of("charge.updated", "payment_intent.succeeded", "charge.refunded")
# What reports an operation of this status: one event of each set, which reports nothing else.
_REPORTED_BY: Final[Mapping[tuple[str, str], tuple[EventTypes, ...]]] = {
    ("authorize", "SUCCEEDED"): (_one_of("charge.succeeded"),),
    ("authorize", "EXCESS"): (_one_of("charge.succeeded"),),
    ("authorize", "DECLINED"): (_one_of("charge.failed"),),
    ("authorize", "REVERSED"): (_one_of("charge.succeeded"), _one_of("charge.failed")),
    ("authorize", "CANCELED"): (_one_of("payment_intent.canceled"),),
    ("capture", "SUCCEEDED"): (_one_of("charge.captured"),),
    ("capture", "REVERSED"): (_one_of("charge.captured"), _one_of("charge.updated")),
    ("increment", "SUCCEEDED"): (
        _one_of("charge.updated", "payment_intent.amount_capturable_updated"),
    ),
    ("refund", "SUCCEEDED"): (_one_of("charge.refunded"),),
    ("refund", "DECLINED"): (_one_of("refund.failed"),),
    ("refund", "REVERSED"): (_one_of("charge.refunded"), _one_of("refund.failed")),
    ("void", "SUCCEEDED"): (_RELEASE,),
    ("void", "REVERSED"): (_RELEASE, _one_of("charge.updated")),
}
_ENDED_BY_ITS_VOID: Final = _one_of(
    "charge.succeeded", "payment_intent.canceled", "payment_intent.succeeded"
)
"""A charge that was voided while it was open is reported by the end of the payment alone."""


def unreported_changes(
    operations: Sequence[Row], events: Sequence[Row]
) -> Iterator[tuple[str, str]]:
    """Every change without an event, and everything without an actor: (intent, what)."""
    reported: dict[str, Counter[str]] = defaultdict(Counter)
    for event in events:
        reported[event["intent"]][event["type"]] += 1
        if not event["actor"]:
            yield event["intent"], f"{event['type']} ({event['id']}) names no actor"
    of_intent: dict[str, list[Row]] = defaultdict(list)
    for row in operations:
        of_intent[row["intent"]].append(row)
        if not row["actor"]:
            yield row["intent"], f"{row['reference']} names no actor"
    for intent, rows in of_intent.items():
        if reported[intent]["payment_intent.created"] != 1:
            yield (
                intent,
                f"its creation was reported {reported[intent]['payment_intent.created']} times",
            )
        for row, types in _unreported(rows, reported[intent]):
            what = f"{row['kind']} {row['status'].lower()} ({row['reference']})"
            yield intent, f"{what}, and no {' or '.join(sorted(types))} reports it"


def _unreported(
    rows: Sequence[Row], reported: Mapping[str, int]
) -> Iterator[tuple[Row, EventTypes]]:
    """Changes left without an event in the best assignment; each event reports one change only."""
    wanted = [(row, types) for row in rows for types in _types_of(row, rows)]
    given: dict[str, list[int]] = defaultdict(list)
    for number, (row, types) in enumerate(wanted):
        if not _give(number, wanted, reported, given, set()):
            yield row, types


def _give(
    number: int,
    wanted: Sequence[tuple[Row, EventTypes]],
    reported: Mapping[str, int],
    given: dict[str, list[int]],
    tried: set[str],
) -> bool:
    """Assign an event to this change, reassigning the event's former change if possible."""
    for type_ in sorted(wanted[number][1] - tried):
        tried.add(type_)
        if len(given[type_]) < reported.get(type_, 0):
            given[type_].append(number)
            return True
        for place, other in enumerate(given[type_]):
            if _give(other, wanted, reported, given, tried):
                given[type_][place] = number
                return True
    return False


def _types_of(row: Row, rows: Sequence[Row]) -> tuple[EventTypes, ...]:
    types = _REPORTED_BY.get((row["kind"], row["status"]), ())
    if (row["kind"], row["status"]) == ("authorize", "SUCCEEDED") and _voided_open(row, rows):
        return (_ENDED_BY_ITS_VOID,)
    return types


def _voided_open(charge: Row, rows: Sequence[Row]) -> bool:
    """Did the charge end after a void of it had begun? Then the void may have ended it."""
    return any(
        row["kind"] == "void"
        and row["status"] == "SUCCEEDED"
        and charge["closed_at"] is not None
        and row["created_at"] < charge["closed_at"]
        for row in rows
    )
