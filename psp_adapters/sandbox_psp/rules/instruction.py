"""An instruction to the sandbox PSP, read from its request."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """A money operation, validated field by field."""

    kind: str
    reference: str
    amount_minor: int
    """0 for a void, which releases whatever is held."""
    final: bool = True
    order_id: str = ""
    currency: str = ""
    token: str = ""
    capture: bool = False
    challenge_allowed: bool = True
    return_url: str = ""
    metadata: dict[str, str] = field(default_factory=dict)


def with_amount(order: Instruction, amount_minor: int) -> Instruction:
    """The same instruction with the amount that the rules found."""
    if order.amount_minor == amount_minor:
        return order
    return Instruction(
        kind=order.kind,
        reference=order.reference,
        amount_minor=amount_minor,
        final=order.final,
    )
