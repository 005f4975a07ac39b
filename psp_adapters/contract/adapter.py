"""What every payment service provider looks like to us: requests, results, capabilities, verbs.

What of it concerns disputes is in `dispute_contract`, settlement reports in `report_contract`. What
may not live here: the name or a word of any PSP, I/O, Django.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from ledger.money import Money

if TYPE_CHECKING:
    from psp_adapters.contract.disputes import DisputeRequest, DisputeResult, PspDispute
    from psp_adapters.contract.settlement_reports import ReportLine, ReportListing


class OperationKind(StrEnum):
    """One instruction to a PSP."""

    AUTHORIZE = "authorize"
    INCREMENT = "increment"
    CAPTURE = "capture"
    VOID = "void"
    REFUND = "refund"


class Outcome(StrEnum):
    """A PSP's word on an operation. A doubt is UNKNOWN, never DECLINED."""

    SUCCEEDED = "succeeded"
    DECLINED = "declined"
    REQUIRES_ACTION = "requires_action"
    PENDING = "pending"
    """Accepted; the PSP will say later (bank debits, asynchronous captures and refunds)."""
    UNKNOWN = "unknown"
    """It may or may not have happened: timeout, reset, 5xx, unreadable or contradictory answer."""
    NOT_SENT = "not_sent"
    """It certainly did not happen: no byte of the request left us, or the PSP refused it."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentToken:
    """What a PSP tells of one of its tokens: never a number, only what may be shown."""

    token: str
    method_type: str
    """`card`, or the merchant API's word for another method, such as `sepa_debit`."""
    brand: str = ""
    funding: str = ""
    last4: str = ""
    expiry_month: int | None = None
    expiry_year: int | None = None
    country: str = ""
    fingerprint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PspRequest:
    """One operation, ready to be sent. Repeating it means sending exactly this again."""

    kind: OperationKind
    psp_key: str
    """The operation's permanent idempotency key at the PSP."""
    reference: str
    """Our reference of this operation, unique for ever; the PSP stores it and finds it."""
    amount: Money
    """What to authorize, add, capture or refund; for a void, what is still held."""
    psp_payment_id: str = ""
    """The PSP's id of the payment; empty only for AUTHORIZE (and for a void that fences)."""
    payment_reference: str = ""
    """Our reference of the AUTHORIZE operation of the same payment."""
    order_id: str = ""
    token: str = ""
    capture: bool = False
    """AUTHORIZE only: capture at once (a sale)."""
    challenge_allowed: bool = True
    """AUTHORIZE only: may the PSP send the customer through 3-D Secure?"""
    return_url: str = ""
    """AUTHORIZE only: where the PSP sends the customer back after a challenge."""
    final: bool = True
    """CAPTURE only: release what is left."""
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LookUp:
    """A question about one operation of ours."""

    kind: OperationKind
    reference: str
    """Ours; empty for an operation that somebody began at the PSP itself: found by its id only."""
    psp_id: str = ""
    """The PSP's id of the operation, where we have it."""
    psp_payment_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PspResult:
    """What the PSP said, in our words."""

    outcome: Outcome
    psp_id: str = ""
    """The PSP's id of this operation (a payment, a capture, a refund)."""
    psp_payment_id: str = ""
    amount: Money | None = None
    """What the PSP says it moved or held; None where it did not say."""
    code: str = ""
    """Decline: an error code of the merchant API, such as `card_declined`, `expired_card`."""
    decline_code: str = ""
    """Decline: the issuer's reason, such as `insufficient_funds`."""
    message: str = ""
    """Decline: one sentence that may be shown to the merchant."""
    redirect_url: str = ""
    """REQUIRES_ACTION: where the customer must go."""
    expires_at: datetime | None = None
    """Until when the PSP holds the money (UTC)."""
    held: Money | None = None
    """What the PSP holds for the whole payment now; None where it did not say."""
    available_at_once: bool = False
    """The PSP pays out what was captured without its usual delay."""
    retry_after_seconds: float | None = None
    """NOT_SENT by a rate limit: when to come again. UNKNOWN: when to ask again, if known."""
    refused_by_us: bool = False
    """NOT_SENT because our own circuit breaker or bulkhead let no call through."""
    contradicts_us: bool = False
    """UNKNOWN, and never to be cleared up by asking: what the PSP says cannot be true of what we
    sent. A person must look, and nothing more may be sent meanwhile."""
    detail: str = ""
    """For logs and the console: what was seen, redacted, at most 500 characters."""


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


class PspUnavailable(Exception):
    """A question (look-up, token) could not be answered now; nothing was changed by asking."""


class UnknownToken(Exception):
    """The PSP does not know this token."""


class CardDataRefused(Exception):
    """A card number was handed in where a token belongs."""


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

    def look_up(self, question: LookUp, *, deadline_seconds: float) -> PspResult | None:
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

    def fence(self, question: LookUp, *, deadline_seconds: float) -> PspResult | None:
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
