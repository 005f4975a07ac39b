"""What a PSP shows of a payment (what is held, every operation), of a token, and of card fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from ledger.money import Money
from psp_adapters.contract.card_numbers import holds_card_number
from psp_adapters.contract.operations import Outcome
from psp_adapters.contract.stored_text import ID_LENGTH_MAX, StoredText


class PspOperationKind(StrEnum):
    """What a PSP lists of a payment: the kinds that we send, and the expiry of the hold."""

    AUTHORIZE = "authorize"
    INCREMENT = "increment"
    CAPTURE = "capture"
    VOID = "void"
    REFUND = "refund"
    EXPIRE = "expire"
    """The authorization ran out and the PSP released the hold."""


class PspPaymentStatus(StrEnum):
    """The status of a payment at the PSP, by what it did with the money."""

    OPEN = "open"
    """Undecided: the customer or the bank has yet to answer."""
    DECLINED = "declined"
    HELD = "held"
    """Something is held and may be captured; a part may have been captured already."""
    CAPTURED = "captured"
    """Something was captured and nothing is held any more; refunds do not change that."""
    RELEASED = "released"
    """Nothing was captured, and a void released the hold."""
    EXPIRED = "expired"
    """Nothing was captured, and the hold expired."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PspOperation(StoredText):
    """One operation as the PSP lists it: ours, an external one from its dashboard, an expiry."""

    TEXTS: ClassVar = {
        "reference": ID_LENGTH_MAX,
        "code": 64,
        "decline_code": 64,
        "message": 500,
    }
    IDS: ClassVar = ("psp_id", "network_transaction_id", "stored_token", "mandate_reference")

    kind: PspOperationKind
    psp_id: str
    """The PSP's id of the operation; of an expiry, the payment's."""
    reference: str
    """Our reference as the PSP stored it; empty, or unknown to us, if it is not ours."""
    amount: Money
    """Held, captured, released or refunded; zero for a void that found nothing held."""
    outcome: Outcome
    at: datetime
    """When it began (UTC)."""
    final: bool = True
    """CAPTURE only: it released the rest of the hold."""
    code: str = ""
    """DECLINED: an error code of the merchant API, as in `PspResult`."""
    decline_code: str = ""
    message: str = ""
    network_transaction_id: str = ""
    """AUTHORIZE that kept its method, as in `PspResult`, and so are the next two."""
    stored_token: str = ""
    mandate_reference: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PspPayment(StoredText):
    """A whole payment as the PSP shows it now."""

    IDS: ClassVar = ("psp_payment_id",)

    psp_payment_id: str
    status: PspPaymentStatus
    held: Money
    """What can still be captured."""
    expires_at: datetime | None
    """Until when it is held (UTC); None if the PSP does not say."""
    operations: tuple[PspOperation, ...]
    """Oldest first."""
    available_at_once: bool = False
    """The PSP pays out what was captured without its usual delay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentToken(StoredText):
    """What a PSP shows of one of its tokens: only what may be displayed, never a card number."""

    TEXTS: ClassVar = {
        "method_type": 32,
        "brand": 32,
        "funding": 16,
        "last4": 4,
        "country": 2,
        "fingerprint": 64,
    }

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


class FieldsRefused(Exception):
    """What the fields returned is not what the PSP makes a token of."""


def refuse_card_number(token: str) -> None:
    """Raise CardDataRefused for a card number, and for any long number, which is no PSP's token."""
    digits = token.replace(" ", "").replace("-", "")
    if holds_card_number(token) or (digits.isdigit() and len(digits) >= 12):
        raise CardDataRefused


class FieldsKind(StrEnum):
    """How the page talks to the fields."""

    FRAME = "frame"
    """One page of the PSP in an iframe, which makes a token and answers by messages. The names of
    the messages are in docs/checkout.md."""
    SCRIPT = "script"
    """A script of the PSP that the page loads, and whose fields are frames of the PSP. The file
    `card_fields.js` in the adapter's folder, the driver, mounts them: docs/checkout.md."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedFields:
    """Card fields that the PSP serves from its own origin: the page never sees the number."""

    kind: FieldsKind
    origin: str
    """Of the frame, whose messages alone the page takes, or of the script."""
    url: str
    """The page of the fields, of that origin, to whose query the checkout page adds `lang` and
    `method`; or the script."""
    public_key: str
    """Names the account to the fields; it gives no right but to make tokens."""
    driver: str = ""
    """SCRIPT: the folder of the driver, which is the adapter's name."""
    integrity: str = ""
    """SCRIPT: the hash that the PSP publishes of it; empty where the PSP changes it at any time."""
    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """SCRIPT: what it needs beside its own origin, by directive of Content-Security-Policy."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """SCRIPT: public values for the driver."""
    stores: bool = False
    """Whether the PSP stores each card that is entered: the page then offers the fields only where
    it keeps the card, as the customer has agreed."""
    wallets: bool = False
    """Whether the fields offer the wallets of the customer's device too."""
