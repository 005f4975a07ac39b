"""Types of a request to the services: its caller, its subject and its answer.

Authentication is done by the API and the console, before there is a caller.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from payments.models import (
    Dispute,
    DisputeResponse,
    Merchant,
    Operation,
    PaymentIntent,
    PspAccount,
    Refund,
)

S = TypeVar("S", contravariant=True)


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
    """When this caller stops waiting for the PSP (time.monotonic); None for no limit."""


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


class Render(Protocol[S]):
    """Renders the answer of one command from what it was about.

    Runs inside the command's transaction; reads only.
    """

    def __call__(self, subject: S, caller: Caller, /) -> Answer: ...


Renderer = Render[Subject]


@dataclass(frozen=True, slots=True)
class CommandRequest(Generic[S]):
    """Who gives a command, and how its answer is rendered; a job needs no answer.

    Raises ValueError for a key without a renderer: a repeat would find no answer under it.
    """

    caller: Caller
    render: Render[S] | None = None

    def __post_init__(self) -> None:
        if self.render is None and self.caller.idempotency_key:
            raise ValueError("a command under an idempotency key needs a renderer")
