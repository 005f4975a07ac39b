"""The protocol that every PSP adapter implements, and its capability flags.

What may not live here: the name or the vocabulary of any PSP.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import BinaryIO, Final, Protocol

from ledger.money import Money
from psp_adapters.contract.credentials import CredentialFault, CredentialField
from psp_adapters.contract.disputes import DisputeRequest, DisputeResult, PspDispute
from psp_adapters.contract.notifications import Notification, WebhookRequest
from psp_adapters.contract.operations import (
    REQUEST_REFUSED,
    LookUp,
    Outcome,
    PspRequest,
    PspResult,
    PspUnavailable,
)
from psp_adapters.contract.payments import HostedFields, PaymentToken, PspPayment
from psp_adapters.contract.report_files import ReportFile
from psp_adapters.contract.settlement_calendar import SettlementCalendar
from psp_adapters.contract.settlement_reports import (
    ReportLine,
    ReportListing,
    ReportUnreadable,
)
from psp_adapters.contract.setups import SetupLookUp, SetupRequest, SetupResult

_DISPUTES_ELSEWHERE: Final = "disputes are handled in the provider's own dashboard"
_NO_REPORTS: Final = "this provider lists no settlement reports"
_NO_BALANCE: Final = "this provider does not state what it holds for us"


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a PSP can do. The platform decides by these flags, never by the PSP's name."""

    idempotency_window_seconds: int
    """How long a repeated key returns the first answer. Afterwards a repeat is a new charge."""
    look_up_by_reference: bool
    """Whether an operation can be looked up by our reference, without the PSP's id."""
    fence_by_reference: bool
    """Whether an operation that may still arrive can be forbidden by our reference."""
    consistency_lag_seconds: float
    """How long after an operation a look-up may still answer "not found"."""
    caches_errors: bool
    """Whether a repeated key returns a stored 5xx although the PSP has recovered."""
    async_captures: bool
    """Whether a capture is only accepted at first, and confirmed later."""
    multiple_captures: bool
    increments: bool
    method_types: tuple[str, ...]
    """Types of payment methods that it charges, by the merchant API's names; the usual one first.
    """
    holdable_method_types: frozenset[str]
    """Those of them that can be held first and captured later."""
    redirect_method_types: frozenset[str] = frozenset()
    """Those of them that always send the customer to another page; a card only if challenged."""
    bare_method_types: Mapping[str, str] = field(default_factory=dict)
    """Those that begin without a token, since the customer gives the account on another page.

    Each with what `PspRequest.token` is then."""
    reusable_method_types: frozenset[str] = frozenset()
    """Those of them that it sets up for later payments, alone or with a first payment. None: it
    sets up nothing."""
    takes_network_transaction_id: bool = False
    """Whether a later charge names the network's id of the customer's agreement. A PSP that keeps
    methods itself keeps this id with them, and takes none."""
    keeps_with_payment_only: bool = False
    """Whether it keeps a method only together with a first payment, so that setups are refused."""
    releases_methods: bool = False
    """Whether it can be told to charge a kept method no more (`release_stored`). Else a method that
    is detached could still be charged there, and only we forbid it."""
    tokens_are_stored: bool = False
    """Whether each token but a bare one names a method that it keeps already. Then results name no
    stored token, and a method that is detached has its own token released."""
    requests_three_d_secure: bool = False
    """Whether a charge can ask for 3-D Secure that the PSP would not ask for by itself."""
    purchase_details: bool = False
    """Whether it takes what was bought, line by line (`PspRequest.purchase`)."""
    published_tokens: bool = False
    """Whether the tokens that it publishes for tests exist at each of its accounts."""
    hosted_fields: bool = False
    """Whether it has card fields for our checkout page, for accounts with all that they need."""
    fields_collect: frozenset[str] = frozenset({"card"})
    """The types of payment methods that these fields collect; others than cards in a frame, to
    whose address the page adds the type, as `method`."""
    exchanges_fields: bool = False
    """Whether these fields return no token, but what `token_of_fields` exchanges for one."""
    disputes: bool = False
    """Whether disputes can be looked up and answered. Else an operator does it at the PSP."""
    settlement_reports: bool = False
    """Whether settlement reports can be listed and fetched. Files can be read in any case."""
    settlement_calendar: SettlementCalendar = field(default_factory=SettlementCalendar)
    """How long it takes until a movement is in a report, unless the account's terms differ."""
    states_balance: bool = False
    """Whether the PSP says what it holds for us (`look_up_balance`)."""
    notification_answer: str = ""
    """The exact text that the PSP wants with 200, once its notifications are stored; empty if it
    reads the status only."""
    completes_with_returned: bool = False
    """Whether what a customer brings back from a challenge (`LookUp.returned`) completes it."""
    states_results_by_notification: bool = False
    """Whether the PSP has no look-ups: they are answered from its stored notifications, which are
    all signed. The adapter is given these (`stored`). What it accepted, and has not stated the
    result of, is not found."""

    def bare_token(self, token: str) -> PaymentToken | None:
        """The token if it stands for a method of `bare_method_types`, which no PSP describes."""
        for method_type, bare in self.bare_method_types.items():
            if token == bare:
                return PaymentToken(token=token, method_type=method_type)
        return None


class PspAdapter(Protocol):
    """Money operations, dispute responses, look-ups, settlement reports, notification parsing.

    An adapter neither retries nor decides. The five money operations never raise for anything the
    PSP or the network does: a doubt is Outcome.UNKNOWN, what was certainly not sent is
    Outcome.NOT_SENT. `deadline_seconds` bounds the whole call, from connect to the last byte.
    """

    name: str
    capabilities: Capabilities
    credential_fields: tuple[CredentialField, ...]
    card_fields: HostedFields | None = None
    """The card fields of the account, where they are described without a call; None without what
    they need. Needs the capability `hosted_fields`."""

    domain_association: str = ""
    """What a wallet asks the host of the checkout page to serve, so that the page may offer it."""

    @classmethod
    @abstractmethod
    def from_credentials(cls, credentials: Mapping[str, str], *, livemode: bool) -> PspAdapter:
        """Make the adapter of an account: every field is given, with its default if need be.

        No call is made. An adapter with `states_results_by_notification` also takes `stored`, which
        its look-ups read. Raises CredentialsRefused for what cannot be used, such as a key of the
        other mode.
        """
        ...

    @abstractmethod
    def check_credentials(self, *, deadline_seconds: float) -> tuple[CredentialFault, ...]:
        """Find out by reads, which change nothing at the PSP, what is wrong with the credentials.

        Empty if they can be used. Raises PspUnavailable if the PSP gave no usable answer.
        """
        ...

    @abstractmethod
    def authorize(self, request: PspRequest, *, deadline_seconds: float) -> PspResult: ...

    def increment(self, request: PspRequest, *, deadline_seconds: float) -> PspResult:
        """Refused unless the adapter overrides it: with `increments` it must."""
        return PspResult(
            outcome=Outcome.DECLINED,
            code=REQUEST_REFUSED,
            message="The payment provider cannot increase a hold.",
        )

    @abstractmethod
    def capture(self, request: PspRequest, *, deadline_seconds: float) -> PspResult: ...

    @abstractmethod
    def void(self, request: PspRequest, *, deadline_seconds: float) -> PspResult: ...

    @abstractmethod
    def refund(self, request: PspRequest, *, deadline_seconds: float) -> PspResult: ...

    @abstractmethod
    def look_up(self, query: LookUp, *, deadline_seconds: float) -> PspResult | None:
        """Look up one operation. Returns None if the PSP does not know it (yet).

        Raises PspUnavailable if the PSP gave no usable answer.
        """
        ...

    @abstractmethod
    def look_up_payment(self, psp_payment_id: str, *, deadline_seconds: float) -> PspPayment | None:
        """Look up a payment with all its operations. Returns None if the PSP does not know it.

        Includes external operations: an expiry, a refund in the PSP's dashboard. Raises
        PspUnavailable.
        """
        ...

    def fence(self, query: LookUp, *, deadline_seconds: float) -> PspResult | None:
        """Forbid an operation that may still arrive at the PSP.

        Returns None if it never happened: now it never will. Returns its result if it had happened
        (fencing does *not* void an authorization that it finds). Raises PspUnavailable, always in
        place of None unless the adapter overrides it: with `fence_by_reference` it must.
        """
        found = self.look_up(query, deadline_seconds=deadline_seconds)
        if found is None or found.outcome is Outcome.UNKNOWN:
            raise PspUnavailable("this provider cannot forbid an operation")
        return found

    @abstractmethod
    def find_token(self, token: str, *, deadline_seconds: float) -> PaymentToken:
        """Look up a token. Raises UnknownToken, CardDataRefused or PspUnavailable."""
        ...

    def set_up(self, request: SetupRequest, *, deadline_seconds: float) -> SetupResult:
        """Verify a payment method for later payments, without money. Never raises, as above.

        Refused unless the adapter overrides it: with `reusable_method_types` it must.
        """
        return SetupResult(
            outcome=Outcome.DECLINED,
            code=REQUEST_REFUSED,
            message="The payment provider sets up no payment methods.",
        )

    def look_up_setup(self, query: SetupLookUp, *, deadline_seconds: float) -> SetupResult | None:
        """Look up one setup. Returns None if the PSP does not know it (yet).

        Raises PspUnavailable. Finds none unless the adapter overrides it.
        """
        return None

    def release_stored(self, stored_token: str, *, deadline_seconds: float) -> None:
        """Have the PSP charge a kept method (`stored_token`) no more; released before is released.

        Raises PspUnavailable. Does nothing unless the adapter overrides it: with `releases_methods`
        it must.
        """

    def has_card_fields(self) -> bool:
        """Whether the account has all that `hosted_fields` needs."""
        return self.card_fields is not None

    def hosted_fields(self, *, page_origin: str, deadline_seconds: float) -> HostedFields:
        """Describe the card fields for pages of this origin, which the PSP is told where it must.

        Raises PspUnavailable. Needs `has_card_fields`.
        """
        if self.card_fields is None:
            raise PspUnavailable("this account has no card fields for the checkout page")
        return self.card_fields

    def token_of_fields(self, fields: Mapping[str, str], *, deadline_seconds: float) -> str:
        """Have the PSP make a token of what its fields encrypted on our page.

        That is kept nowhere. Raises FieldsRefused and PspUnavailable. Needs the capability
        `exchanges_fields`.
        """
        raise PspUnavailable("the fields of this provider return tokens")

    def look_up_dispute(self, psp_dispute_id: str, *, deadline_seconds: float) -> PspDispute | None:
        """Look up a dispute. Returns None if the PSP knows none of that id (yet).

        Raises PspUnavailable. Needs the capability `disputes`, as the next two.
        """
        raise PspUnavailable(_DISPUTES_ELSEWHERE)

    def submit_evidence(self, request: DisputeRequest, *, deadline_seconds: float) -> DisputeResult:
        """Submit the evidence of one stage, which is final; never raises.

        DECLINED if the dispute is in the other stage. An adapter whose PSP takes no stage looks the
        dispute up first. Both hold for acceptance too.
        """
        return DisputeResult(outcome=Outcome.NOT_SENT, detail=_DISPUTES_ELSEWHERE)

    def accept_dispute(self, request: DisputeRequest, *, deadline_seconds: float) -> DisputeResult:
        """Accept: a chargeback is lost, an inquiry closed, both final; never raises."""
        return DisputeResult(outcome=Outcome.NOT_SENT, detail=_DISPUTES_ELSEWHERE)

    def look_up_balance(self, *, deadline_seconds: float) -> tuple[Money, ...]:
        """What the PSP holds for us, one amount per currency; also what is in no report yet.

        Raises PspUnavailable. Needs the capability `states_balance`.
        """
        raise PspUnavailable(_NO_BALANCE)

    def list_reports(
        self, *, since: datetime | None, deadline_seconds: float
    ) -> list[ReportListing]:
        """List the settlement reports closed since then, or all, oldest first.

        Raises PspUnavailable. Needs the capability `settlement_reports`, as the next.
        """
        raise PspUnavailable(_NO_REPORTS)

    def fetch_report(self, name: str, *, into: BinaryIO, deadline_seconds: float) -> None:
        """Write a whole report into a file, the same bytes every time.

        Raises PspUnavailable, possibly after some bytes were written.
        """
        raise PspUnavailable(_NO_REPORTS)

    def read_report(self, file: ReportFile) -> Iterator[ReportLine]:
        """Yield the lines of a report in its order, as they are parsed: those that `file.progress`
        says were not read yet. What the adapter must know to go on, it keeps there.

        Raises ReportUnreadable, and nothing else, if it is not a whole report, possibly after some
        lines were yielded. Reads none unless the adapter overrides it.
        """
        raise ReportUnreadable("files of this provider are not read")

    @abstractmethod
    def read_notifications(
        self, request: WebhookRequest, *, secrets: Sequence[str], now: datetime
    ) -> tuple[Notification, ...]:
        """Verify a request of the PSP and parse the notifications in it, at least one.

        No I/O, no clock of its own. One of `secrets` must have signed them (several during a
        rotation): the body, each notification in it, or, where the PSP signs nothing, the query of
        an address that we named to it. Raises NotificationRefused, and nothing else, if any part of
        the request is not such a notification: all of it is refused then.
        """
        ...

    @abstractmethod
    def close(self) -> None:
        """Close the connections that are kept open; the next call opens new ones."""
        ...
