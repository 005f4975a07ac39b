"""Sums the sandbox PSP's effects: what each payment holds, took and gave back. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

Effect = Mapping[str, Any]

_FAILED: Final = "_failed"
"""What a late failure adds to the kind of the effect that it reverses."""


@dataclass(slots=True)
class MovedMoney:
    """What the PSP did, in minor units of one currency."""

    authorized_minor: int = 0
    captured_minor: int = 0
    refunded_minor: int = 0
    released_minor: int = 0
    """Voided, expired, or left uncaptured by a final capture."""
    kinds: list[str] = field(default_factory=list)

    def add(self, effect: Effect) -> None:
        """Count one effect; those of disputes move nothing of the payment."""
        done = effect["kind"].removesuffix(_FAILED)
        sign = 1 if done == effect["kind"] else -1
        amount_minor = sign * effect["amount_minor"]
        self.kinds.append(effect["kind"])
        match done:
            case "authorize" | "increment":
                self.authorized_minor += amount_minor
            case "capture":
                self.captured_minor += amount_minor
                self.released_minor += sign * effect["released_minor"]
            case "refund":
                self.refunded_minor += amount_minor
            case "void" | "expire":
                self.released_minor += amount_minor

    @property
    def held_minor(self) -> int:
        return self.authorized_minor - self.captured_minor - self.released_minor

    @property
    def refundable_minor(self) -> int:
        return self.captured_minor - self.refunded_minor

    @property
    def is_live(self) -> bool:
        """Does it hold or keep money of the customer?"""
        return self.refundable_minor > 0 if self.captured_minor else self.held_minor > 0

    @property
    def was_reversed(self) -> bool:
        """Did the PSP reverse what it had done, or end a hold by itself?"""
        return any(kind.endswith(_FAILED) or kind == "expire" for kind in self.kinds)


def lasting(effects: Iterable[Effect]) -> Counter[str]:
    """How often each kind was done and not reversed."""
    found: Counter[str] = Counter()
    for effect in effects:
        done = effect["kind"].removesuffix(_FAILED)
        found[done] += 1 if done == effect["kind"] else -1
    return +found


def by_payment(effects: Iterable[Effect]) -> dict[str, list[Effect]]:
    """The effects of each of the PSP's payments, in their order; those of disputes left out."""
    found: dict[str, list[Effect]] = defaultdict(list)
    for effect in effects:
        if not effect["kind"].startswith("dispute"):
            found[effect["payment_id"]].append(effect)
    return found


def moved_by(effects: Iterable[Effect]) -> MovedMoney:
    """The sums over some effects."""
    moved = MovedMoney()
    for effect in effects:
        moved.add(effect)
    return moved
