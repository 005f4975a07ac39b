"""Payment tokens, and the refusal of card data in place of one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentToken:
    """What a PSP shows of one of its tokens: only what may be displayed, never a card number."""

    token: str
    method_type: str
    """`card`, or the merchant API's name of another method, such as `sepa_debit`."""
    brand: str = ""
    funding: str = ""
    last4: str = ""
    expiry_month: int | None = None
    expiry_year: int | None = None
    country: str = ""
    fingerprint: str = ""


class UnknownToken(Exception):
    """The PSP does not know this token."""


class CardDataRefused(Exception):
    """A card number was sent where a token belongs."""
