"""One operation at a PSP: the request, its result, and how to look it up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Final

from ledger.money import Money
from psp_adapters.contract.stored_text import StoredText

REQUEST_REFUSED: Final = "provider_refused_request"
"""Code of a DECLINED result whose request the PSP did not accept as valid: a mistake of ours or of
the merchant. The customer's bank was not asked, so another card does not help."""


class OperationKind(StrEnum):
    """One instruction to a PSP."""

    AUTHORIZE = "authorize"
    INCREMENT = "increment"
    CAPTURE = "capture"
    VOID = "void"
    REFUND = "refund"


class Outcome(StrEnum):
    """What became of an operation, as the PSP says. A doubt is UNKNOWN, never DECLINED."""

    SUCCEEDED = "succeeded"
    DECLINED = "declined"
    REQUIRES_ACTION = "requires_action"
    PENDING = "pending"
    """Accepted; the result follows later (bank debits, asynchronous captures and refunds)."""
    UNKNOWN = "unknown"
    """It may or may not have happened: timeout, reset, 5xx, unreadable or contradictory answer."""
    NOT_SENT = "not_sent"
    """It certainly did not happen: no byte of the request left us, or the PSP refused it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchaseLine:
    """One line of an order; amounts in the minor unit of the payment's currency."""

    name: str
    quantity: int
    unit_cost_minor: int
    """The price of one piece, without tax."""
    tax_minor: int = 0
    discount_minor: int = 0
    product_code: str = ""
    commodity_code: str = ""
    unit_of_measure: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchaseDetails:
    """What was bought: level 2 and 3 data, for which card networks take lower fees.

    With lines, these less discounts plus tax and shipping are the amount.
    """

    lines: tuple[PurchaseLine, ...] = ()
    tax_minor: int = 0
    """Of everything, that of the lines included."""
    discount_minor: int = 0
    """On everything, that on lines included."""
    shipping_minor: int = 0
    ship_to_postal_code: str = ""
    ship_from_postal_code: str = ""
    customer_reference: str = ""
    merchant_reference: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PspRequest:
    """One operation, ready to be sent. Repeating it means sending exactly this again."""

    kind: OperationKind
    psp_key: str
    """The operation's permanent idempotency key at the PSP."""
    reference: str
    """Our permanent, unique reference; the PSP stores it, and many can look up by it."""
    amount: Money
    """What to authorize, add, capture or refund; for a void, what is still held."""
    psp_payment_id: str = ""
    """The PSP's id of the payment; empty only for AUTHORIZE, and for a void that fences first."""
    payment_reference: str = ""
    """Our reference of the AUTHORIZE operation of the same payment."""
    payment_sent_at: datetime | None = None
    """When that AUTHORIZE operation was stored: the PSP has the payment since then at the earliest.
    """
    order_id: str = ""
    token: str = ""
    capture: bool = False
    """AUTHORIZE only: capture at once (a sale)."""
    challenge_allowed: bool = True
    """AUTHORIZE only: may the PSP send the customer through 3-D Secure?"""
    three_d_secure: str = ""
    """AUTHORIZE only: `any` or `challenge` asks for 3-D Secure although the PSP would not; where
    the card does not support it, the charge goes on without. Needs the capability."""
    return_url: str = ""
    """AUTHORIZE only: where the PSP sends the customer back after a challenge."""
    save_for: str = ""
    """AUTHORIZE only: `on_session` or `off_session`, if the customer agrees to later payments with
    the same method. Needs a type of `reusable_method_types`, as the next two."""
    off_session: bool = False
    """AUTHORIZE only: the customer is not there; the merchant charges by an earlier agreement."""
    network_transaction_id: str = ""
    """AUTHORIZE only: the card network's id of that agreement. Needs the capability
    `takes_network_transaction_id`."""
    mandate: str = ""
    """AUTHORIZE only: our id of the mandate by which the customer's account is debited."""
    final: bool = True
    """CAPTURE only: release what is left."""
    purchase: PurchaseDetails | None = None
    """AUTHORIZE and CAPTURE: what was bought. None without the capability `purchase_details`."""
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LookUp:
    """Names one operation that is to be looked up or fenced."""

    kind: OperationKind
    reference: str
    """Ours; empty for an external operation, which is found by the PSP's id only."""
    psp_id: str = ""
    """The PSP's id of the operation, if we know it."""
    psp_payment_id: str = ""
    sent_at: datetime | None = None
    """When we first sent it, if known: a PSP without an index of our references lists what was made
    since then."""
    payment_reference: str = ""
    """Our reference of the payment's AUTHORIZE operation, for every other kind."""
    returned: Mapping[str, str] = field(default_factory=dict)
    """AUTHORIZE only: parameters of the address with which the customer has just come back from a
    challenge. Not trusted: the PSP judges them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PspResult(StoredText):
    """A PSP's answer on one operation, in the contract's terms."""

    TEXTS: ClassVar = {"code": 64, "decline_code": 64, "message": 500, "detail": 500}
    IDS: ClassVar = (
        *("psp_id", "psp_payment_id", "network_transaction_id", "stored_token"),
        "mandate_reference",
    )
    LINKS: ClassVar = {"redirect_url": 2048}

    outcome: Outcome
    psp_id: str = ""
    """The PSP's id of this operation (a payment, a capture, a refund)."""
    psp_payment_id: str = ""
    amount: Money | None = None
    """What the PSP says it moved or held; None if it does not say."""
    code: str = ""
    """Decline: an error code of the merchant API, such as `card_declined`, `expired_card`."""
    decline_code: str = ""
    """Decline: the issuer's reason, such as `insufficient_funds`."""
    message: str = ""
    """Decline: one sentence that may be shown to the merchant."""
    elsewhere: bool = False
    """AUTHORIZE, DECLINED: another account may take the charge that this one declined. By a table
    of the PSP's codes; a hard decline, and a code that the table does not name, says no."""
    redirect_url: str = ""
    """REQUIRES_ACTION: where the customer must go."""
    expires_at: datetime | None = None
    """Until when the PSP holds the money (UTC)."""
    held: Money | None = None
    """What the PSP holds for the whole payment now; None if it does not say."""
    available_at_once: bool = False
    """The PSP pays out what was captured without its usual delay."""
    network_transaction_id: str = ""
    """AUTHORIZE of a card: the card network's id of this charge, if the PSP states it. With
    `save_for` the network finds the customer's agreement by it."""
    stored_token: str = ""
    """AUTHORIZE with `save_for`: what charges the method from now on; empty: its token does."""
    mandate_reference: str = ""
    """AUTHORIZE with `save_for`: the PSP's id of the mandate that the customer accepted on its own
    page, by which later payments are made; empty where it makes none."""
    retry_after_seconds: float | None = None
    """NOT_SENT by a rate limit: when to send again. UNKNOWN: when to look up, if known."""
    refused_by_us: bool = False
    """NOT_SENT because our own circuit breaker or bulkhead let no call through."""
    contradicts_us: bool = False
    """UNKNOWN, and no look-up can resolve it: the answer contradicts what we sent. An operator must
    decide, and nothing more may be sent meanwhile."""
    also_found: tuple[PspResult, ...] = ()
    """Further operations under the same reference: the PSP acted more than once for one key."""
    detail: str = ""
    """For logs and the console: what was received, redacted, at most 500 characters."""

    @property
    def may_be_charged_elsewhere(self) -> bool:
        """Did it certainly not charge, for a reason that is not one of the customer's bank?"""
        declined_here = self.outcome is Outcome.DECLINED and self.elsewhere
        return declined_here or self.outcome is Outcome.NOT_SENT


class PspUnavailable(Exception):
    """The PSP could not answer a look-up now; nothing was changed by it."""
