"""A PSP's notification, verified and parsed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from psp_adapters.contract.operations import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """What a PSP told us without being asked: a reason to look, never the truth."""

    event_id: str
    """The PSP's id of the event: the same for every delivery of it."""
    type: str
    """The PSP's own word."""
    account: str
    """The PSP's word for the account it speaks of; empty if it does not say."""
    psp_payment_id: str
    references: tuple[str, ...]
    """Our references of the operations concerned, as the PSP stored them."""
    claims: Outcome | None
    """What it says became of those operations; None if it is about something else. Only good for
    not asking: when it says what we know already."""
    occurred_at: datetime
    known: bool
    """Is the type one that this adapter knows? Unknown ones are stored and acknowledged."""
    proof: Mapping[str, str]
    """The headers that carried the proof of origin, by lower-case name."""
    psp_dispute_id: str = ""
    """The PSP's id of the dispute that it is about, if it is about one."""


class NotificationRefused(Exception):
    """Not provably a notification of this PSP for this account; says why, in words for logs."""
