"""Who asks, for which merchant, under which key, and how the answer is to be rendered.

What may not live here: authentication (the API and the console do it), HTTP.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from payments.models import (
    Dispute,
    DisputeResponse,
    Merchant,
    Operation,
    PaymentIntent,
    PspAccount,
    Refund,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """One request, by the API, the console or a job, on behalf of one merchant and mode."""

    merchant: Merchant
    livemode: bool
    psp_account: PspAccount
    actor: str
    """`api_key:…`, `staff:…` or `job:…`; stored with every operation and event."""
    request_id: str = ""
    api_version: str = ""
    idempotency_key: str = ""
    fingerprint: str = ""
    """SHA-256 of method, path and canonical parameters; empty without a key."""
    expand: tuple[str, ...] = ()
    answer_by_monotonic: float | None = None
    """Until when this caller waits for the PSP (time.monotonic); None: as long as it takes."""

    def asking_for(self, *, expand: tuple[str, ...], api_version: str) -> Caller:
        """The same caller with the rendering wishes of the request that first claimed the key."""
        return replace(self, expand=expand, api_version=api_version)


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
    """What a command was about, as it now stands; a renderer turns it into an Answer."""

    intent: PaymentIntent
    operation: Operation | None = None
    refund: Refund | None = None
    dispute: Dispute | None = None
    response: DisputeResponse | None = None


class Renderer(Protocol):
    """Renders the answer of one command. Runs inside the command's transaction; reads only."""

    def __call__(self, subject: Subject, caller: Caller) -> Answer: ...


def caller_of(operation: Operation, actor: str) -> Caller:
    """The merchant's side of an operation, for a change that no request waits for."""
    operation = Operation.objects.select_related("merchant", "psp_account").get(pk=operation.pk)
    return Caller(
        merchant=operation.merchant,
        livemode=operation.livemode,
        psp_account=operation.psp_account,
        actor=actor,
        request_id=operation.request_id,
    )


def caller_for(intent: PaymentIntent, *, actor: str) -> Caller:
    """The merchant's side of a payment, for a job."""
    return Caller(
        merchant=Merchant.objects.get(pk=intent.merchant_id),
        livemode=intent.livemode,
        psp_account=intent.psp_account,
        actor=actor,
    )
