"""A payment as the PSP shows it: what is held, captured and refunded, and each act on it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from ledger.money import Money
from psp_adapters.contract.operations import Outcome


class ActKind(StrEnum):
    """What can befall a payment at a PSP: every operation, and what the PSP does by itself."""

    AUTHORIZE = "authorize"
    INCREMENT = "increment"
    CAPTURE = "capture"
    VOID = "void"
    REFUND = "refund"
    EXPIRE = "expire"
    """The hold ran out: the PSP let it go by itself."""


class PaymentStanding(StrEnum):
    """Where a payment stands at the PSP, as far as money is concerned."""

    OPEN = "open"
    """Not decided: the customer or the bank has yet to speak."""
    DECLINED = "declined"
    HELD = "held"
    """Something is held and may be captured; a part may have been captured already."""
    CAPTURED = "captured"
    """Something was captured, and nothing is held any more; refunds do not change that."""
    RELEASED = "released"
    """Nothing was captured, and what was held was let go by a void."""
    EXPIRED = "expired"
    """Nothing was captured, and what was held ran out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PspAct:
    """One thing that befell a payment at the PSP, whoever wanted it."""

    kind: ActKind
    psp_id: str
    """The PSP's id of the operation; of an expiry, the payment's."""
    reference: str
    """Our reference as the PSP stored it; empty or a stranger's if somebody else began it."""
    amount: Money
    """Held, captured, let go or given back; zero for a void that found nothing held."""
    outcome: Outcome
    at: datetime
    """When it began (UTC)."""
    final: bool = True
    """CAPTURE only: what was left was let go with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PspPayment:
    """A whole payment as the PSP knows it now."""

    psp_payment_id: str
    standing: PaymentStanding
    held: Money
    """What can still be captured."""
    expires_at: datetime | None
    """Until when it is held (UTC); None where the PSP does not say."""
    acts: tuple[PspAct, ...]
    """In the order in which they happened."""
