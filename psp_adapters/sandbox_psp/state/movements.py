"""Changes of an account's balance that belong to no payment: fees, reserves, payouts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """One change; its gross is negative if the account was charged or paid out."""

    seq: int
    account_id: str
    type: str
    """As its line in the report names it."""
    currency: str
    gross_minor: int
    fee_minor: int
    at_ms: int

    @property
    def id(self) -> str:
        return f"smov_{self.seq}"

    @property
    def net_minor(self) -> int:
        return self.gross_minor - self.fee_minor


def movement_of(record: dict[str, Any], *, seq: int) -> Movement:
    """The movement that a record of the journal describes."""
    return Movement(
        seq=seq,
        account_id=record["account"],
        type=record["type"],
        currency=record["currency"],
        gross_minor=record["gross"],
        fee_minor=record["fee"],
        at_ms=record["at"],
    )
