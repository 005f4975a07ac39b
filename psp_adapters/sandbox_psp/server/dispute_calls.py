"""Finds a merchant's dispute, and executes a response to it."""

from __future__ import annotations

from psp_adapters.sandbox_psp.refusals import Refusal, forbidden_now
from psp_adapters.sandbox_psp.rules.payments import Rules
from psp_adapters.sandbox_psp.server.requests import Call
from psp_adapters.sandbox_psp.state.records import Account, Dispute


def dispute_of(account: Account, dispute_id: str) -> Dispute:
    """A dispute of this account; refuses with 404."""
    dispute = account.disputes.get(dispute_id)
    if dispute is None:
        raise Refusal(404, "not_found", "no such dispute", code="dispute_unknown")
    return dispute


def respond(rules: Rules, account: Account, call: Call, now_ms: int) -> Dispute:
    """Take the evidence, or the acceptance. Refuses one for another stage, if it names a stage."""
    dispute, response = dispute_of(account, call.subject), call.response
    assert response is not None, "only a response is carried out here"
    if response.stage not in ("", dispute.stage):
        raise forbidden_now("dispute_stage", f"the dispute is in its stage {dispute.stage}")
    if response.evidence is None:
        return rules.disputes.accept(dispute, reference=response.reference, now_ms=now_ms)
    return rules.disputes.submit(
        dispute,
        reference=response.reference,
        evidence=response.evidence,
        now_ms=now_ms,
        behavior=rules.behavior,
    )
