"""Checks the stored notifications: none forged, none twice, none unprocessed. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

FORGED: Final = "sev_forged_"
"""How the sandbox PSP names notifications that it did not sign."""


def problems_of_notifications(
    notifications: Sequence[Mapping[str, Any]],
) -> Iterator[tuple[str, str]]:
    """Everything that should not be: (reference of an operation concerned or nothing, what).

    A notification that contradicts our records is dead-lettered. At the end of a run, when our
    records equal the PSP's, that is an error.
    """
    bodies: set[str] = set()
    for row in notifications:
        event_id = row["event_id"]
        if row["body_sha256"] in bodies:
            yield "", f"the notification {event_id} is stored twice"
        bodies.add(row["body_sha256"])
        if event_id.startswith(FORGED):
            yield "", f"the forged notification {event_id} was stored"
        elif row["status"] == "stored":
            yield "", f"the notification {event_id} was not processed"
        elif row["status"] == "dead":
            reference = next(iter(row["our_references"]), "")
            yield reference, f"the notification {event_id} was given up: {row['last_error']}"
