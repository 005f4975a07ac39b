"""Finds what a merchant was told is being processed, and was never made. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from bench.chaos.verdict.final_state import FinalState

Row = Mapping[str, Any]

_CHANGES: Final = ("capture", "void", "refund", "increment")


def never_made(truth: FinalState, *, held: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    """Each accepted change or refund that was not made: its payment, and what is wrong.

    `held` is what the PSP holds in the end, in minor units by payment.
    """
    for row in _ends_unmade(truth):
        if row["kind"] == "void" and not held.get(row["intent"]):
            continue  # The hold ended otherwise.
        text = f"{row['kind']} {row['reference']} was accepted, never sent, and not sent again"
        yield row["intent"], text
    excused = {row["intent"] for row in truth.operations if row["id"] in truth.unmade_with_case}
    for refund, intent in _refunds_told_and_canceled(truth):
        if intent not in excused:
            yield intent, f"{refund} was answered as pending and is canceled"


def _ends_unmade(truth: FinalState) -> Iterator[Row]:
    """Captures, voids, increments and refunds that recovery gave up, and nothing replaced.

    What the sender itself did not send was refused to the merchant. What goes back of a duplicate
    charge is begun again by a sweep.
    """
    replaced = {row["replaces_id"] for row in truth.operations}
    for row in truth.operations:
        if row["kind"] not in _CHANGES or row["status"] != "NOT_SENT" or row["excess_minor"]:
            continue
        was_refused = row["fenced_at"] is None and row["replaces_id"] is None
        if was_refused or row["id"] in replaced or row["id"] in truth.unmade_with_case:
            continue
        yield row


def _refunds_told_and_canceled(truth: FinalState) -> Iterator[tuple[str, str]]:
    """Each refund that was answered as pending and ended canceled, with its payment."""
    told = {
        record.seen["refund"]: record.seen["intent"]
        for record in truth.records
        if record.type == "ok" and record.seen.get("refund_status") == "pending"
    }
    for refund, intent in told.items():
        final = truth.refunds.get(refund)
        if final and final["refund_status"] == "canceled":
            yield refund, intent


def counts_of(operations: Sequence[Row]) -> dict[str, int]:
    """How many operations never reached the PSP and were sent again, by kind."""
    replaced = {row["replaces_id"] for row in operations}
    return dict(Counter(row["kind"] for row in operations if row["id"] in replaced))
