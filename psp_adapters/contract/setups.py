"""A setup at a PSP: a payment method is verified and kept for later payments; no money moves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from psp_adapters.contract.operations import Outcome
from psp_adapters.contract.stored_text import StoredText


class CustomerNotMade(Exception):
    """A PSP keeps methods with customers of its own, and did not say that it made one.

    Nothing was sent after that.
    """

    def __init__(self, why: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(f"no customer was made: {why}")
        self.retry_after_seconds = retry_after_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupRequest:
    """One setup, ready to be sent. Repeating it means sending exactly this again."""

    psp_key: str
    """The setup's permanent idempotency key at the PSP."""
    reference: str
    """Our permanent, unique reference; the PSP stores it, and can be looked up by it."""
    token: str
    usage: str
    """`on_session` or `off_session`: whether the customer will be there for later payments."""
    three_d_secure: str = ""
    """`any` or `challenge` asks for 3-D Secure although the PSP would not."""
    return_url: str = ""
    """Where the PSP sends the customer back after a challenge."""
    mandate: str = ""
    """Our id of the mandate with which the method is kept, if it needs one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupLookUp:
    """Names one setup that is to be looked up."""

    reference: str
    psp_id: str = ""
    """The PSP's id of the setup, if we know it."""
    sent_at: datetime | None = None
    """When we first sent it."""
    returned: Mapping[str, str] = field(default_factory=dict)
    """What the customer has just brought back from a challenge, as in `LookUp`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupResult(StoredText):
    """A PSP's answer on one setup; every doubt is UNKNOWN. It is never PENDING."""

    TEXTS: ClassVar = {"code": 64, "decline_code": 64, "message": 500, "detail": 500}
    IDS: ClassVar = ("psp_id", "network_transaction_id", "stored_token")
    LINKS: ClassVar = {"redirect_url": 2048}

    outcome: Outcome
    psp_id: str = ""
    network_transaction_id: str = ""
    """SUCCEEDED: by this id the card network finds the customer's agreement to later payments."""
    stored_token: str = ""
    """SUCCEEDED: what charges the method from now on; empty: its token does, as before."""
    code: str = ""
    """DECLINED: an error code of the merchant API, as in `PspResult`."""
    decline_code: str = ""
    message: str = ""
    elsewhere: bool = False
    """DECLINED in the answer to the setup: another account may keep it, as in `PspResult`."""
    redirect_url: str = ""
    """REQUIRES_ACTION: where the customer must go."""
    retry_after_seconds: float | None = None
    """NOT_SENT by a rate limit: when to send again."""
    refused_by_us: bool = False
    """NOT_SENT because our own circuit breaker or bulkhead let no call through."""
    detail: str = ""
    """For logs and the console: what was received, redacted, at most 500 characters."""

    @property
    def may_be_set_up_elsewhere(self) -> bool:
        """Was certainly nothing kept, for a reason that is not one of the customer's bank?"""
        declined_here = self.outcome is Outcome.DECLINED and self.elsewhere
        return declined_here or self.outcome is Outcome.NOT_SENT
