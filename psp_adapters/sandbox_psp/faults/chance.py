"""Draws how each notice is delivered: lost, doubled, delayed, reordered, forged."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Any, Final

from psp_adapters.sandbox_psp.refusals import invalid

_SHARE_NAMES: Final = ("lose", "double", "reorder", "forge")
_REORDER_SECONDS: Final = (0.2, 2.0)
_DOUBLE_WITHIN_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class DeliveryPlan:
    """When the copies of one notice are sent, and whether a forged one is sent beside them."""

    delays_seconds: tuple[float, ...]
    """Empty: the notice is lost."""
    forged: bool


_UNDISTURBED: Final = DeliveryPlan((0.0,), forged=False)


def parse_webhooks(value: object) -> dict[str, Any]:
    """Check the `webhooks` of a behavior; refuses unknown fields."""
    if not isinstance(value, dict):
        raise invalid("webhooks must be an object")
    unknown = value.keys() - {*_SHARE_NAMES, "delay_seconds"}
    if unknown:
        raise invalid(f"unknown webhooks behavior: {min(map(str, unknown))[:50]}")
    for name in _SHARE_NAMES:
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
    """Draws the delivery plan of each notice, repeatably for a seed."""

    def __init__(self) -> None:
        self._shares: dict[str, Any] = {}
        self._random = random.Random()  # repeatable, not secret

    def set(self, shares: dict[str, Any], seed: int | None) -> None:
        """Draw by these probabilities from now on, starting with this seed."""
        self._shares = shares
        self._random = random.Random(seed)

    def delivery_plan(self) -> DeliveryPlan:
        """Draw the plan of the next notice."""
        if not self._shares:
            return _UNDISTURBED
        forged = self._hits("forge")
        if self._hits("lose"):
            return DeliveryPlan((), forged=forged)
        least, most = self._shares.get("delay_seconds", (0.0, 0.0))
        delay = self._random.uniform(least, most)
        if self._hits("reorder"):
            delay += self._random.uniform(*_REORDER_SECONDS)
        if self._hits("double"):
            again = delay + self._random.uniform(0, _DOUBLE_WITHIN_SECONDS)
            return DeliveryPlan((delay, again), forged=forged)
        return DeliveryPlan((delay,), forged=forged)

    def choose(self, number: int) -> int:
        """Draw one of `number` possibilities."""
        return self._random.randrange(number)

    def _hits(self, name: str) -> bool:
        share = self._shares.get(name, 0)
        return bool(share) and self._random.random() < share
