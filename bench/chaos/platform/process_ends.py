"""Why a process ended that nobody killed: taken along by a fault, or by itself. Pure.

What may not live here: killing, restarting.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

WAKE_SECONDS: Final = 20.0
"""So long after a fault it may still be what ended a process."""


class Hurt(StrEnum):
    """What was done to a process, or to what it needs."""

    ITSELF = "it was killed"
    CHILD = "a child of it was killed"
    STOPPED = "it was stopped"
    REDIS = "Redis was killed"


class Kind(StrEnum):
    """How an end is to be taken."""

    EXPLAINED = "explained"
    """Its own last words say that it gave up because of what was done."""
    UNEXPLAINED = "unexplained"
    """Soon after a fault, without a word that it was because of it."""
    UNASKED = "unasked"
    """Nothing was done to it: a violation."""


@dataclass(frozen=True, slots=True)
class _Reason:
    name: str
    """Of the process, or how it begins."""
    hurt: Hurt
    says: str
    text: str


_REASONS: Final = (
    _Reason(
        "api-",
        Hurt.CHILD,
        "Worker crash loop detected",
        "two of its web workers died within 5.5 s, which it takes for its own fault",
    ),
    _Reason(
        "worker",
        Hurt.CHILD,
        "Could not start worker processes",
        "a child died while it began",
    ),
    _Reason(
        "worker",
        Hurt.REDIS,
        "'NoneType' object has no attribute 'client'",
        "kombu 5.7.0 acknowledges a message on the lost connection to Redis",
    ),
)


@dataclass(frozen=True, slots=True)
class End:
    """One end that nobody asked for."""

    kind: Kind
    text: str


def end_of(
    name: str,
    code: int | None,
    *,
    last_words: str,
    seconds_since: Mapping[Hurt, float],
    patience: float,
) -> End:
    """Judge the end of a process that was not itself killed just now.

    `last_words` from its log; `seconds_since` each thing that was done to it. With patience a
    reason that the log names may be longer ago; what nothing explains may not.
    """
    text = f"{name} ended with code {code}"
    for reason in _REASONS:
        ago = seconds_since.get(reason.hurt, float("inf"))
        if (
            name.startswith(reason.name)
            and code == 1
            and reason.says in last_words
            and ago <= WAKE_SECONDS * patience
        ):
            return End(Kind.EXPLAINED, f"{text}: {reason.text}")
    recent = [hurt for hurt, ago in seconds_since.items() if ago <= WAKE_SECONDS]
    if not recent:
        return End(Kind.UNASKED, text)
    return End(Kind.UNEXPLAINED, f"{text} soon after {' and '.join(sorted(recent))}")
