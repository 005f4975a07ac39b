"""What is agreed that a charge costs, by the entries of its PSP account's terms. Pure.

An entry is about the whole fee of a charge, or about one component of it. Of several that apply to
a charge the most exact one counts: first by its currency, then by its method, then by its brand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, Final

from ledger.money import Money

WHOLE: Final = ""
"""In place of a component: the fee as a whole."""
COMPONENTS: Final = ("markup", "interchange", "scheme_fee")
_BASIS_POINTS: Final = 10_000


def agreed_fees(
    costs: Sequence[Mapping[str, Any]], *, amount: Money, method_type: str, brand: str
) -> dict[str, Fraction]:
    """By component, or under WHOLE, the exact fee in minor units; the others are not agreed."""
    wanted = {"currency": amount.currency, "method": method_type, "brand": brand}
    found: dict[str, tuple[tuple[bool, ...], Mapping[str, Any]]] = {}
    for cost in costs:
        if any(name in cost and cost[name] != value for name, value in wanted.items()):
            continue
        component = cost.get("component", WHOLE)
        exactness = tuple(name in cost for name in wanted)
        if component not in found or exactness > found[component][0]:
            found[component] = exactness, cost
    return {component: _fee_of(cost, amount) for component, (_, cost) in found.items()}


def _fee_of(cost: Mapping[str, Any], amount: Money) -> Fraction:
    share = Fraction(cost.get("basis_points", 0), _BASIS_POINTS)
    return Fraction(cost.get("fixed_minor", 0)) + share * amount.minor
