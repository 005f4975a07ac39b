"""Types of a request to the services (caller, subject, answer), and the callers of jobs.

Authentication is done by the API and the console, before there is a caller.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, cast

from payments.exceptions import PaymentRefused
from payments.models import (
    Dispute,
    DisputeResponse,
    Merchant,
    MerchantBalance,
    Operation,
    PaymentIntent,
    PspAccount,
    Refund,
    SetupAttempt,
    SetupIntent,
    WebhookEndpoint,
)
from payments.selectors.scope import Scope
from psp_adapters.contract.operations import PspUnavailable

S = TypeVar("S", contravariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """One request, by the API, the console or a job, on behalf of one merchant and mode."""

    merchant: Merchant
    livemode: bool
    psp_account: PspAccount
    actor: str
    """`api_key:…`, `staff:…`, `service:…` or `job:…`; stored with every operation and event."""
    request_id: str = ""
    api_version: str = ""
    idempotency_key: str = ""
    fingerprint: str = ""
    """SHA-256 of method, path and canonical parameters; empty without a key."""
    expand: tuple[str, ...] = ()
    answer_by_monotonic: float | None = None
    """When this caller stops waiting for the PSP (time.monotonic); None for no limit."""

    @property
    def scope(self) -> Scope:
        return Scope(self.merchant.id, self.livemode)


@dataclass(frozen=True, slots=True)
class Answer:
    """A final answer: the status and the very bytes that every repeat gets."""

    status: int
    body: str
    replayed: bool = False
    original_request_id: str = ""
    """Of a replay: the request that was answered first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The rows that a command was about, as they now stand; a renderer makes them an Answer."""

    intent: PaymentIntent
    operation: Operation | None = None
    refund: Refund | None = None
    dispute: Dispute | None = None
    response: DisputeResponse | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupSubject:
    """The rows that a command of a setup intent was about, as they now stand."""

    setup_intent: SetupIntent
    attempt: SetupAttempt | None = None


class Render(Protocol[S]):
    """Renders the answer of one command from its subject.

    Runs inside the command's transaction; reads only.
    """

    def __call__(self, subject: S, caller: Caller, /) -> Answer: ...


Renderer = Render[Subject]
SetupRenderer = Render[SetupSubject]


@dataclass(frozen=True, slots=True)
class CommandRequest(Generic[S]):
    """The caller of a command, and the renderer of its answer; a job needs no answer.

    Raises ValueError for a key without a renderer: a repeat would find no answer under it.
    """

    caller: Caller
    render: Render[S] | None = None

    def __post_init__(self) -> None:
        if self.render is None and self.caller.idempotency_key:
            raise ValueError("a command under an idempotency key needs a renderer")


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandResult:
    """The rows that a command wrote, and its answer.

    `answer` is None without a renderer. The replay of a stored answer reads nothing else: then
    there are no rows.
    """

    intent: PaymentIntent | None = None
    operation: Operation | None = None
    refund: Refund | None = None
    dispute: Dispute | None = None
    response: DisputeResponse | None = None
    setup_intent: SetupIntent | None = None
    attempt: SetupAttempt | None = None
    answer: Answer | None = None

    @classmethod
    def of(cls, subject: Subject | SetupSubject, answer: Answer | None) -> CommandResult:
        """The result about a subject."""
        if isinstance(subject, SetupSubject):
            setup_intent, attempt = subject.setup_intent, subject.attempt
            return cls(setup_intent=setup_intent, attempt=attempt, answer=answer)
        return cls(
            intent=subject.intent,
            operation=subject.operation,
            refund=subject.refund,
            dispute=subject.dispute,
            response=subject.response,
            answer=answer,
        )


def for_operation(operation: Operation, actor: str) -> Caller:
    """The caller on behalf of an operation's merchant, for what the PSP, a sweep or staff causes.

    Its events name the actor, and no request: the merchant's request did not cause them.
    """
    row = Operation.objects.select_related("merchant", "psp_account").get(pk=operation.pk)
    return Caller(
        merchant=row.merchant,
        livemode=row.livemode,
        psp_account=row.psp_account,
        actor=actor,
    )


def for_setup(attempt: SetupAttempt, actor: str) -> Caller:
    """The caller on behalf of a setup's merchant; its events name the actor, and no request."""
    row = SetupAttempt.objects.select_related("merchant", "psp_account").get(pk=attempt.pk)
    return Caller(
        merchant=row.merchant,
        livemode=row.livemode,
        psp_account=row.psp_account,
        actor=actor,
    )


def for_intent(intent: PaymentIntent | SetupIntent, actor: str) -> Caller:
    """The caller on behalf of the merchant of a payment or a setup intent."""
    return Caller(
        merchant=Merchant.objects.get(pk=intent.merchant_id),
        livemode=intent.livemode,
        psp_account=intent.psp_account,
        actor=actor,
    )


def _psp_account(row: MerchantBalance | WebhookEndpoint) -> PspAccount | None:
    merchant = row.merchant
    return merchant.live_psp_account if row.livemode else merchant.test_psp_account


def for_balance(balance: MerchantBalance, actor: str) -> Caller:
    """The caller on behalf of a balance's merchant, who may have no PSP account in its mode."""
    return Caller(
        merchant=balance.merchant,
        livemode=balance.livemode,
        psp_account=cast(PspAccount, _psp_account(balance)),
        actor=actor,
    )


def for_endpoint(endpoint: WebhookEndpoint, actor: str) -> Caller:
    """The caller on behalf of an endpoint's merchant.

    A merchant may have no PSP account in this mode: nothing done to an endpoint needs one.
    """
    return Caller(
        merchant=endpoint.merchant,
        livemode=endpoint.livemode,
        psp_account=cast(PspAccount, _psp_account(endpoint)),
        actor=actor,
        api_version=endpoint.api_version,
    )


Prepare = Callable[..., object]
"""Called with the caller and the command's arguments by name; may raise PaymentRefused."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What was looked up before a command's transaction, or the refusal, which is raised inside it.

    So no connection is held meanwhile, and a repeat whose key has an answer gets that answer, even
    if the PSP cannot be asked any more.
    """

    found: Any = None
    refusal: PaymentRefused | PspUnavailable | None = None

    def get(self) -> Any:
        """What was looked up; raises the refusal if there is one."""
        if self.refusal is not None:
            raise self.refusal
        return self.found


def prepared_by(prepare: Prepare | None, caller: Caller, arguments: dict[str, Any]) -> Prepared:
    """Run a command's `prepare` step, if it has one, outside any transaction."""
    if prepare is None:
        return Prepared()
    try:
        return Prepared(prepare(caller, **arguments))
    except (PaymentRefused, PspUnavailable) as refusal:
        return Prepared(refusal=refusal)
