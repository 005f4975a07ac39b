"""A PSP's notifications: the request that brings them, and each one verified and parsed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from ledger.money import Money
from psp_adapters.contract.operations import OperationKind, Outcome
from psp_adapters.contract.stored_text import ID_LENGTH_MAX, StoredText


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookRequest:
    """What was posted to the webhook address of an account; not verified yet."""

    headers: Mapping[str, str]
    body: bytes
    query: str = ""
    """Of the address, as it came, without the mark."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification(StoredText):
    """What a PSP's webhook says: a reason to look up, never the truth."""

    TEXTS: ClassVar = {"type": 128, "account": ID_LENGTH_MAX, "references": ID_LENGTH_MAX}
    IDS: ClassVar = ("event_id", "psp_payment_id", "psp_dispute_id", "psp_id")

    event_id: str
    """The PSP's id of the event: the same for every delivery of it."""
    type: str
    """The PSP's own event type."""
    account: str
    """The PSP's name of the account concerned; empty if it gives none."""
    psp_payment_id: str
    references: tuple[str, ...]
    """Our references of the operations concerned, as the PSP stored them."""
    claims: Outcome | None
    """The outcome it states for those operations; None if it states none. Used only to skip a
    look-up that would bring nothing new."""
    occurred_at: datetime
    known: bool
    """Whether this adapter knows the type. Unknown types are stored and acknowledged."""
    signature_headers: Mapping[str, str]
    """The headers that carried the signature, by lower-case name; empty if no header did."""
    psp_dispute_id: str = ""
    """The PSP's id of the dispute concerned, if any."""
    body: bytes | None = None
    """The part of the request that is this notification; None: all of it."""
    kind: OperationKind | None = None
    """Of the operation whose final result `claims`, `psp_id` and `amount` state in full. None if it
    states more, less or something else, such as a reversal."""
    is_sale: bool = False
    """Whether it states that the AUTHORIZE operation also captured."""
    psp_id: str = ""
    """The PSP's id of that operation; empty without a kind."""
    amount: Money | None = None
    """Of that operation, as the PSP states it; None without a kind."""


class NotificationRefused(Exception):
    """Not provably a notification of this PSP for this account; the text says why, for logs."""
