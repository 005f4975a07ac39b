"""Records of the sandbox PSP (payments, operations, effects, disputes), and its clock."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from functools import lru_cache
from typing import Any, Final


@dataclass(slots=True)
class StoredAnswer:
    """The first answer of an idempotency key."""

    fingerprint: str
    status: int
    body: bytes
    at_ms: int


@dataclass(slots=True)
class Payment:
    """One payment; its amounts are the sums of its effects."""

    id: str
    account: Account
    reference: str
    order_id: str
    currency: str
    amount_minor: int
    token: str
    capture: bool
    return_url: str
    metadata: dict[str, str]
    created_ms: int
    expires_ms: int
    authorized_minor: int = 0
    captured_minor: int = 0
    refunded_minor: int = 0
    voided_minor: int = 0
    released_minor: int = 0
    """What a final capture left uncaptured."""
    expired_minor: int = 0
    expired_ms: int = 0
    """When the hold expired; 0 if it did not."""
    operations: list[Operation] = field(default_factory=list)
    disputes_planned: bool = False
    field_token: str = ""
    """The token of the card fields that was charged; empty for another one."""
    save_for: str = ""
    """For which later use the customer agreed to keep the card, if at all."""
    mandate: str = ""
    """The account's reference of the mandate by which it is debited; empty without one."""
    network_transaction_id: str = ""
    """The card network's id of that agreement; empty without one."""

    @property
    def held_minor(self) -> int:
        """Authorized, and neither captured nor released."""
        gone = self.captured_minor + self.voided_minor + self.released_minor + self.expired_minor
        return max(0, self.authorized_minor - gone)  # more may have been captured than was held

    @property
    def refund_pending_minor(self) -> int:
        return sum(
            operation.amount_minor
            for operation in self.operations
            if operation.kind == "refund" and operation.status == "pending"
        )

    @property
    def status(self) -> str:
        first = self.operations[0].status
        if first != "succeeded":
            return first
        if self.captured_minor:
            if self.refunded_minor >= self.captured_minor:
                return "refunded"
            if self.refunded_minor:
                return "partially_refunded"
            return "partially_captured" if self.held_minor else "captured"
        if self.held_minor:
            return "authorized"
        return "expired" if self.expired_minor else "voided"


@dataclass(slots=True)
class Operation:
    """One instruction that was executed, declined, or is still open."""

    id: str
    seq: int
    kind: str
    reference: str
    payment: Payment
    amount_minor: int
    status: str
    """`succeeded`, `declined`, `pending`, `requires_action`, `failed` or `canceled`."""
    code: str
    decline_code: str
    message: str
    final: bool
    at_ms: int
    purchase: dict[str, Any] | None = None
    """What was bought, as the request said it."""
    due_ms: int = 0
    """When it settles by itself; 0 if it does not."""
    status_changes: int = 0
    released_minor: int = 0
    """Of a final capture: what it left uncaptured."""
    notice_types: list[str] = field(default_factory=list)
    """The types of the notices made about it."""


@dataclass(slots=True)
class Effect:
    """Money that was moved, held or released."""

    seq: int
    kind: str
    id: str
    reference: str
    payment: Payment
    amount_minor: int
    at_ms: int
    released_minor: int = 0
    """Of a final capture, or its failure: what it left uncaptured."""
    fee_minor: int = 0
    """Of a capture: what we charge for it; kept when it is refunded or fails."""
    interchange_minor: int = 0
    scheme_fee_minor: int = 0
    """Of that fee, what we pass on; the rest is our own price."""
    conversion: SettledIn | None = None
    """Of a capture or refund that we settle in another currency."""


@dataclass(frozen=True, slots=True)
class SettledIn:
    """The currency in which we settle, and what we give of it for one of the payment's."""

    currency: str
    rate: str

    def converted(self, minor: int) -> int:
        """An amount, rounded to the nearest; both currencies have as many decimals."""
        nearest = math.floor(abs(minor) * Fraction(self.rate) + Fraction(1, 2))
        return nearest if minor > 0 else -nearest


@dataclass(frozen=True, slots=True)
class ProcessingFee:
    """What is charged for a capture: a share of its amount, and a fixed amount.

    Of that fee, a share of the capture's amount is interchange, and another one a scheme fee.
    """

    basis_points: int = 0
    fixed_minor: int = 0
    interchange_basis_points: int = 0
    scheme_fee_basis_points: int = 0


@dataclass(slots=True)
class Setup:
    """A card that was verified for later payments, without money."""

    id: str
    account: Account
    reference: str
    token: str
    usage: str
    return_url: str
    status: str
    """`succeeded`, `declined` or `requires_action`."""
    code: str
    decline_code: str
    message: str
    at_ms: int
    field_token: str = ""
    """The token of the card fields that was verified; empty for another one."""

    @property
    def network_transaction_id(self) -> str:
        """The card network's id of the customer's agreement; empty before there is one."""
        return f"snt_{self.id.removeprefix('sset_')}" if self.status == "succeeded" else ""


FIELD_TOKEN_LIFE_SECONDS: Final = 900
"""How long a token of the card fields can be charged."""


@dataclass(slots=True)
class FieldToken:
    """A token that the card fields made: it stands for a test token, once and for a while.

    One that was kept, by a setup or a charge that keeps its card, stands for it for good.
    """

    id: str
    stands_for: str
    exp_month: int
    exp_year: int
    """0 of a bank account."""
    made_ms: int
    spent: bool = False
    kept: bool = False

    def is_usable(self, *, now_ms: int) -> bool:
        """May it be charged, or verified, now?"""
        fresh = now_ms - self.made_ms < FIELD_TOKEN_LIFE_SECONDS * 1000
        return self.kept or (fresh and not self.spent)


@dataclass(slots=True)
class Account:
    """Everything of one API key."""

    id: str
    payments: dict[str, Payment] = field(default_factory=dict)
    disputes: dict[str, Dispute] = field(default_factory=dict)
    operations: dict[str, Operation] = field(default_factory=dict)
    in_order: list[Operation] = field(default_factory=list)
    by_reference: dict[str, list[Operation]] = field(default_factory=dict)
    answers: dict[str, StoredAnswer] = field(default_factory=dict)
    in_flight: set[str] = field(default_factory=set)
    fenced: set[str] = field(default_factory=set)
    setups: dict[str, Setup] = field(default_factory=dict)
    agreements: dict[str, tuple[str, str]] = field(default_factory=dict)
    """By the network's id of an agreement: the token, and the use that it allows."""
    field_tokens: dict[str, FieldToken] = field(default_factory=dict)
    settled_in: dict[str, SettledIn] = field(default_factory=dict)
    """By the currency of a payment, if it is settled in another one."""
    field_origins: set[str] = field(default_factory=set)
    """Of the pages that may show this account's card fields."""


@dataclass(slots=True)
class Dispute:
    """One dispute of one payment; its amount never changes."""

    id: str
    payment: Payment
    amount_minor: int
    reason: str
    inquiry: bool
    """Whether it began as an inquiry."""
    status: str
    at_ms: int
    due_ms: int
    fee_minor: int = 0
    fee_returned_minor: int = 0
    withdrawn: bool = False
    reinstated: bool = False
    version: int = 0
    submissions: list[dict[str, str]] = field(default_factory=list)
    """The merchant's reference and the stage of each submission, in order."""
    evidence: dict[str, str] = field(default_factory=dict)
    accepted_reference: str = ""

    @property
    def stage(self) -> str:
        return "inquiry" if self.status.startswith("warning") else "chargeback"


@dataclass(slots=True)
class DueDispute:
    """A dispute that opens at a set time, or a decision on one that is due then."""

    opens: dict[str, Any] | None = None
    dispute_id: str = ""
    move: str = ""


class Clock:
    """Milliseconds since 1970 (UTC): real time plus what the control API has advanced it by."""

    def __init__(self) -> None:
        self.offset_ms = 0

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self.offset_ms


def iso(at_ms: int) -> str:
    """`2026-01-31T12:00:00.123Z`."""
    return f"{_iso_second(at_ms // 1000)}.{at_ms % 1000:03d}Z"


@lru_cache(maxsize=256)
def _iso_second(at_seconds: int) -> str:
    """Every answer shows two times, and most of them share their second."""
    return f"{datetime.fromtimestamp(at_seconds, UTC):%Y-%m-%dT%H:%M:%S}"
