"""The whole story of one order, for a person who must find out what went wrong.

Client requests, PSP calls and effects, operations and events, merged by time.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from bench.chaos.verdict.final_state import FinalState, unix_seconds
from bench.chaos.verdict.invariants import Violation

Line = tuple[float, str]


def timeline_of(truth: FinalState, violation: Violation) -> list[str]:
    """One line per thing that happened to the violation's order or payment."""
    rows = [
        row
        for row in truth.operations
        if row["intent"] == violation.intent or _is(row["order_id"], violation.order)
    ]
    intents = {row["intent"] for row in rows} | ({violation.intent} - {""})
    references = {row["reference"] for row in rows}
    lines = [
        *_requests(truth, violation.order, intents),
        *_psp(truth, violation.order, references),
        *_database(truth, intents, references),
    ]
    return [
        f"{datetime.fromtimestamp(at, UTC).strftime('%H:%M:%S.%f')[:-3]}  {text}"
        for at, text in sorted(lines)
    ]


def _is(value: str, wanted: str) -> bool:
    return bool(wanted) and value == wanted


def _requests(truth: FinalState, order: str, intents: set[str]) -> Iterator[Line]:
    for record in truth.records:
        if not (_is(record.order, order) or record.intent in intents):
            continue
        what = f"{record.client:>5} {record.verb} key={record.key or '-'} attempt {record.attempt}"
        if record.type == "invoke":
            yield record.at, f"client {what} -> api-{record.server} {record.intent}"
        else:
            answer = record.error or f"{record.status} {record.seen}"
            yield record.at, f"client {what} <- {record.type} {answer}"


def _psp(truth: FinalState, order: str, references: set[str]) -> Iterator[Line]:
    for call in truth.calls:
        if call["reference"] in references or _is(call["order_id"], order):
            yield (
                unix_seconds(call["at"]),
                f"psp    {call['kind']} {call['reference']} key={call['idempotency_key'] or '-'} "
                f"{call['status']} {call['fault'] or 'no fault'}"
                f"{' executed' if call['executed'] else ''}"
                f"{' replayed' if call['replayed'] else ''}",
            )
    for effect in truth.effects:
        if effect["reference"] in references or _is(effect["order_id"], order):
            yield (
                unix_seconds(effect["at"]),
                f"EFFECT {effect['kind']} {effect['reference']} {effect['amount_minor']} "
                f"{effect['currency']}",
            )


def _database(truth: FinalState, intents: set[str], references: set[str]) -> Iterator[Line]:
    for row in truth.operations:
        if row["reference"] not in references:
            continue
        name = f"{row['kind']} {row['reference']} of {row['intent']} {row['amount_minor']}"
        yield unix_seconds(row["created_at"]), f"db     written: {name} by {row['actor']}"
        if row["closed_at"] is not None:
            text = f"db     closed as {row['status']} ({row['checks']} look-ups): {name}"
            yield unix_seconds(row["closed_at"]), f"{text} {row['detail']}"
    for event in truth.events:
        if event["intent"] in intents:
            text = f"event  {event['seq']} {event['type']} {event['intent']} by {event['actor']}"
            yield unix_seconds(event["created_at"]), text
