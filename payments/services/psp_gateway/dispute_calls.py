"""Looks up a dispute at the PSP and sends it responses. No decisions.

What may not live here: what an answer causes (services.disputes).
"""

from __future__ import annotations

from ledger.database.statements import release_connection
from payments.models import DisputeResponse, PspAccount
from payments.services.psp_gateway.accounts import adapter_of
from payments.services.psp_gateway.circuit_breaker import CallKind, CallRefused, guarded_call
from payments.services.psp_gateway.queries import query_psp
from payments.services.psp_gateway.sending import LOOKUP_DEADLINE_SECONDS
from psp_adapters.contract.disputes import DisputeRequest, DisputeResult, PspDispute
from psp_adapters.contract.operations import Outcome, PspUnavailable

_NO_DISPUTES = "disputes of this provider are answered in its own dashboard"


def ask(account: PspAccount, psp_dispute_id: str) -> PspDispute | None:
    """The dispute's present state at the PSP. Returns None if it has none of that id (yet).

    Raises PspUnavailable or CallRefused. Holds no pooled connection during the call.
    """
    adapter = adapter_of(account)
    release_connection()
    if not adapter.capabilities.disputes:
        raise PspUnavailable(_NO_DISPUTES)
    return query_psp(
        account,
        lambda: adapter.look_up_dispute(psp_dispute_id, deadline_seconds=LOOKUP_DEADLINE_SECONDS),
    )


def send(
    response: DisputeResponse,
    account: PspAccount,
    psp_dispute_id: str,
    *,
    deadline_seconds: float,
) -> DisputeResult:
    """Send a response, once; never raises for what the PSP or the network does."""
    adapter = adapter_of(account)
    release_connection()
    if not adapter.capabilities.disputes:
        return DisputeResult(
            outcome=Outcome.DECLINED, code="dispute_unexpected_state", message=_NO_DISPUTES
        )
    accepts = response.kind == DisputeResponse.Kind.ACCEPTANCE
    verb = adapter.accept_dispute if accepts else adapter.submit_evidence
    request = DisputeRequest(
        psp_key=response.psp_key,
        reference=response.public_id,
        psp_dispute_id=psp_dispute_id,
        answers_inquiry=response.answers_inquiry,
        evidence=response.evidence,
    )
    try:
        with guarded_call(account.code, CallKind.MODIFY) as verdict:
            result = verb(request, deadline_seconds=deadline_seconds)
            verdict.healthy = result.outcome in (Outcome.SUCCEEDED, Outcome.DECLINED)
    except CallRefused as refusal:
        return DisputeResult(
            outcome=Outcome.NOT_SENT,
            detail=refusal.reason,
            retry_after_seconds=refusal.retry_after_seconds,
        )
    return result
