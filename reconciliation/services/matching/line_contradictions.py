"""A settlement line that cannot be true beside what we hold; whoever asked about it tells a person.

What may not live here: opening the case (whoever keeps the line does, once for each).
"""

from __future__ import annotations

from payments.models import PaymentIntent


class LineContradicted(Exception):
    """What a line says and what we hold cannot both be true."""

    def __init__(self, why: str, *, intent: PaymentIntent | None = None) -> None:
        super().__init__(why)
        self.intent = intent
        """The payment that it is about, where that is known."""
