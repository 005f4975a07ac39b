"""Finds what a merchant was told is being processed, and was never made. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from bench.chaos.verdict.final_state import FinalState

Row = Mapping[str, Any]

_CHANGES: Final = ("capture", "void", "refund", "increment")


def never_made(truth: FinalState) -> Iterator[tuple[str, str]]:
    """Each accepted change or refund that was not made: its payment, and what is wrong."""
    excused = {row["intent"] for row in truth.disputes}
    for row in _ends_unmade(truth.operations, excused=excused):
        text = f"{row['kind']} {row['reference']} was accepted, never sent, and not sent again"
        yield row["intent"], text
    for refund, intent in _refunds_told_and_canceled(truth, excused=excused):
        yield intent, f"{refund} was answered as pending and is canceled"


def _ends_unmade(operations: Sequence[Row], *, excused: Collection[str]) -> Iterator[Row]:
    """Captures, voids, increments and refunds that recovery gave up, and nothing replaced.

    What the sender itself did not send was refused to the merchant. A bank may have charged back
    the payments that are `excused`.
    """
    replaced = {row["replaces_id"] for row in operations}
    for row in operations:
        if row["kind"] not in _CHANGES or row["status"] != "NOT_SENT":
            continue
        if row["fenced_at"] is None or row["id"] in replaced or row["intent"] in excused:
            continue
        yield row


def _refunds_told_and_canceled(
    truth: FinalState, *, excused: Collection[str]
) -> Iterator[tuple[str, str]]:
    """Each refund that was answered as pending and ended canceled, with its payment."""
    told = {
        record.seen["refund"]: record.seen["intent"]
        for record in truth.records
        if record.type == "ok" and record.seen.get("refund_status") == "pending"
    }
    for refund, intent in told.items():
        final = truth.refunds.get(refund)
        if final and final["refund_status"] == "canceled" and intent not in excused:
            yield refund, intent


def counts_of(operations: Sequence[Row]) -> dict[str, int]:
    """How many operations never reached the PSP and were sent again, by kind."""
    replaced = {row["replaces_id"] for row in operations}
    return dict(Counter(row["kind"] for row in operations if row["id"] in replaced))
