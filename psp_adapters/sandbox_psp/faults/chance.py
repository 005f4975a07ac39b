"""How badly notices travel: lost, doubled, late, out of order, forged. Settings and chance only.

What may not live here: what is in a notice, sending.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Any, Final

from psp_adapters.sandbox_psp.refusals import invalid

_SHARES: Final = ("lose", "double", "reorder", "forge")
_REORDER_SECONDS: Final = (0.2, 2.0)
_DOUBLE_WITHIN_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Journey:
    """When the copies of one notice leave, and whether a forged one leaves beside them."""

    delays_seconds: tuple[float, ...]
    """Empty: lost for ever."""
    forged: bool


_UNHARMED: Final = Journey((0.0,), forged=False)


def parse_webhooks(value: object) -> dict[str, Any]:
    """The `webhooks` of a behavior; refuses what it does not know."""
    if not isinstance(value, dict):
        raise invalid("webhooks must be an object")
    unknown = value.keys() - {*_SHARES, "delay_seconds"}
    if unknown:
        raise invalid(f"unknown webhooks behavior: {min(map(str, unknown))[:50]}")
    for name in _SHARES:
        share = value.get(name, 0)
        if isinstance(share, str) or not isinstance(share, int | float) or not 0 <= share <= 1:
            raise invalid(f"webhooks.{name} must be a number from 0 to 1")
    delay = value.get("delay_seconds", [0, 0])
    if (
        not isinstance(delay, list)
        or len(delay) != 2
        or not all(type(each) in (int, float) and math.isfinite(each) for each in delay)
        or not 0 <= delay[0] <= delay[1]
    ):
        raise invalid("webhooks.delay_seconds must be [least, most]")
    return value


class Chance:
    """Draws the journey of each notice."""

    def __init__(self) -> None:
        self._words: dict[str, Any] = {}
        self._random = random.Random()  # repeatable, not secret

    def set(self, words: dict[str, Any], seed: int | None) -> None:
        """From now on, with this seed."""
        self._words = words
        self._random = random.Random(seed)

    def journey(self) -> Journey:
        """What happens to the next notice."""
        if not self._words:
            return _UNHARMED
        forged = self._hits("forge")
        if self._hits("lose"):
            return Journey((), forged=forged)
        least, most = self._words.get("delay_seconds", (0.0, 0.0))
        delay = self._random.uniform(least, most)
        if self._hits("reorder"):
            delay += self._random.uniform(*_REORDER_SECONDS)
        if self._hits("double"):
            again = delay + self._random.uniform(0, _DOUBLE_WITHIN_SECONDS)
            return Journey((delay, again), forged=forged)
        return Journey((delay,), forged=forged)

    def choose(self, number: int) -> int:
        """One of `number` possibilities."""
        return self._random.randrange(number)

    def _hits(self, name: str) -> bool:
        share = self._words.get(name, 0)
        return bool(share) and self._random.random() < share
