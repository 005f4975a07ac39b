"""Judges why a process ended that was not killed: because of a fault, or by itself. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

CAUSED_WITHIN_SECONDS: Final = 20.0
"""A fault at most so long ago may have ended a process."""
SAID_WITHIN_SECONDS: Final = 40.0
"""The same for an end whose reason the process logged: on a busy machine it takes long to end."""


class Fault(StrEnum):
    """What was done to a process, or to what it needs."""

    ITSELF = "it was killed"
    CHILD = "a child of it was killed"
    STOPPED = "it was stopped"
    REDIS = "Redis was killed"


class EndKind(StrEnum):
    """What an end means for the verdict."""

    EXPLAINED = "explained"
    """The process logged that it ended because of a fault."""
    UNEXPLAINED = "unexplained"
    """Soon after a fault, without a reason in the log."""
    UNPROVOKED = "unprovoked"
    """No fault before it: a violation."""


@dataclass(frozen=True, slots=True)
class _Reason:
    name: str
    """The name of the process, or its beginning."""
    fault: Fault
    message: str
    text: str


_REASONS: Final = (
    _Reason(
        "api-",
        Fault.CHILD,
        "Worker crash loop detected",
        "two of its web workers died within 5.5 s, which it takes for its own fault",
    ),
    _Reason(
        "worker",
        Fault.CHILD,
        "Could not start worker processes",
        "a child died while it started",
    ),
)


@dataclass(frozen=True, slots=True)
class End:
    """One end that was not a kill."""

    kind: EndKind
    text: str


def end_of(
    name: str,
    code: int | None,
    *,
    last_output: str,
    seconds_since: Mapping[Fault, float],
    time_factor: float,
) -> End:
    """Judge the end of a process that was not itself killed just now.

    `last_output` is the end of its log; `seconds_since` is when each fault last affected it. A time
    factor above 1 allows more time for a reason that the log names, but not without one.
    """
    text = f"{name} ended with code {code}"
    for reason in _REASONS:
        ago = seconds_since.get(reason.fault, float("inf"))
        if (
            name.startswith(reason.name)
            and code == 1
            and reason.message in last_output
            and ago <= SAID_WITHIN_SECONDS * time_factor
        ):
            return End(EndKind.EXPLAINED, f"{text}: {reason.text}")
    recent = [fault for fault, ago in seconds_since.items() if ago <= CAUSED_WITHIN_SECONDS]
    if not recent:
        return End(EndKind.UNPROVOKED, text)
    return End(EndKind.UNEXPLAINED, f"{text} soon after {' and '.join(sorted(recent))}")
