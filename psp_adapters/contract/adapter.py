"""What every payment service provider looks like to us: requests, results, capabilities, verbs.

What of it concerns disputes is in `dispute_contract`, settlement reports in `report_contract`. What
may not live here: the name or a word of any PSP, I/O, Django.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from psp_adapters.contract.disputes import DisputeRequest, DisputeResult, PspDispute
from psp_adapters.contract.notifications import Notification
from psp_adapters.contract.operations import LookUp, PspRequest, PspResult
from psp_adapters.contract.payments import PspPayment
from psp_adapters.contract.settlement_reports import ReportLine, ReportListing
from psp_adapters.contract.tokens import PaymentToken


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a PSP can do; the core asks these flags and never the PSP's name."""

    idempotency_window_seconds: int
    """How long a repeated key returns the first answer. After it, a repeat is a new charge."""
    look_up_by_reference: bool
    """Can an operation be found by our reference, without the PSP's id?"""
    fence_by_reference: bool
    """Can an operation that may still arrive be forbidden by our reference?"""
    consistency_lag_seconds: float
    """How long "not found" may be wrong after an effect."""
    caches_errors: bool
    """Does a repeated key return a stored 5xx although nothing is wrong any more?"""
    async_captures: bool
    """Is a capture only accepted at first, and confirmed later?"""
    multiple_captures: bool
    increments: bool
    disputes: bool = False
    """Can disputes be looked up and answered? False: a person does it at the PSP."""
    settlement_reports: bool = False
    """Can settlement reports be listed and fetched? Whether or not, files can be read."""


class PspAdapter(Protocol):
    """Six verbs, the verbs of disputes, questions, and an ear. No retries, no decisions.

    The five money verbs never raise for anything the PSP or the network does: every doubt is
    Outcome.UNKNOWN and everything certainly unsent is Outcome.NOT_SENT. `deadline_seconds` bounds
    the whole call, from connect to the last byte.
    """

    name: str
    capabilities: Capabilities

    def authorize(self, request: PspRequest, *, deadline_seconds: float) -> PspResult: ...

    def increment(self, request: PspRequest, *, deadline_seconds: float) -> PspResult: ...

    def capture(self, request: PspRequest, *, deadline_seconds: float) -> PspResult: ...

    def void(self, request: PspRequest, *, deadline_seconds: float) -> PspResult: ...

    def refund(self, request: PspRequest, *, deadline_seconds: float) -> PspResult: ...

    def look_up(self, query: LookUp, *, deadline_seconds: float) -> PspResult | None:
        """What the PSP knows of an operation now; None if it knows nothing of it (yet).

        Raises PspUnavailable if it could not be asked.
        """
        ...

    def look_up_payment(self, psp_payment_id: str, *, deadline_seconds: float) -> PspPayment | None:
        """A payment with everything that befell it; None if the PSP does not know it.

        Also what nobody here asked for: an expiry, an act in the PSP's own dashboard. Raises
        PspUnavailable if it could not be asked.
        """
        ...

    def fence(self, query: LookUp, *, deadline_seconds: float) -> PspResult | None:
        """Forbid an operation that may still arrive at the PSP.

        None: it never happened and never will. Otherwise: it had happened, and this is its result
        (an authorization found is *not* voided by fencing). Raises PspUnavailable.
        """
        ...

    def find_token(self, token: str, *, deadline_seconds: float) -> PaymentToken:
        """Describe one of the PSP's tokens; raises UnknownToken or PspUnavailable."""
        ...

    def look_up_dispute(self, psp_dispute_id: str, *, deadline_seconds: float) -> PspDispute | None:
        """The dispute as it stands; None if the PSP knows none of that id (yet).

        Raises PspUnavailable. Only with the capability `disputes`, as the next two.
        """
        ...

    def submit_evidence(self, request: DisputeRequest, *, deadline_seconds: float) -> DisputeResult:
        """Hand in the evidence of one stage, once and for good; never raises.

        DECLINED in the other stage, as the next: if the PSP cannot be told which, ask it first.
        """
        ...

    def accept_dispute(self, request: DisputeRequest, *, deadline_seconds: float) -> DisputeResult:
        """Give in: a chargeback is lost, an inquiry closed, for good; never raises."""
        ...

    def list_reports(
        self, *, since: datetime | None, deadline_seconds: float
    ) -> list[ReportListing]:
        """The settlement reports closed since then, or all, oldest first.

        Raises PspUnavailable. Only with the capability `settlement_reports`, as the next.
        """
        ...

    def fetch_report(self, name: str, *, deadline_seconds: float) -> bytes:
        """A whole report as the PSP made it, the same bytes every time; raises PspUnavailable."""
        ...

    def read_report(self, body: bytes) -> Iterator[ReportLine]:
        """The lines of a report, in its order, as they are read. Pure: no I/O.

        Raises ReportUnreadable, and nothing else, if it is not a whole report: also after lines
        were given already.
        """
        ...

    def read_notification(
        self, *, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime
    ) -> Notification:
        """Check where a notification comes from, and read it. Pure: no I/O, no clock of its own.

        One of `secrets` must have signed it (several while they are being exchanged). Raises
        NotificationRefused for everything else, however malformed, and never another exception.
        """
        ...
