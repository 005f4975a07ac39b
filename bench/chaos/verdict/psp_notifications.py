"""What PSPs told us against what we stored: nothing forged, nothing twice, nothing left. Pure.

What may not live here: reading, deliveries to merchants (`deliveries`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

FORGED: Final = "sev_forged_"
"""So the sandbox PSP names what only somebody else could have written."""


def faults_of(notifications: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Everything that should not be: (reference of an operation concerned or nothing, what).

    A notification that nobody can bring together with what we hold is given to a person: never
    rightly so at the end of a run, where we hold what the PSP did.
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
            yield "", f"nobody has looked at the notification {event_id}"
        elif row["status"] == "dead":
            reference = next(iter(row["our_references"]), "")
            yield reference, f"the notification {event_id} was given up: {row['last_error']}"
