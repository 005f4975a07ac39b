"""Decides what may happen to a dispute, and records the money that it moves.

The bank takes one submission per stage before a deadline, then decides. Test evidence, the deadline
or the control API makes it decide.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any, Final

from psp_adapters.sandbox_psp.faults.behavior import Behavior
from psp_adapters.sandbox_psp.refusals import forbidden_now
from psp_adapters.sandbox_psp.state.disputes import CHARGEBACK_OPEN, INQUIRY_OPEN, OPEN
from psp_adapters.sandbox_psp.state.records import Dispute, DueDispute, Payment, iso
from psp_adapters.sandbox_psp.state.truth import Truth
from psp_adapters.sandbox_psp.tokens import DISPUTES_OF, TOKENS

FEE_MINOR: Final = 1500
"""The fee of a chargeback, in minor units of its currency; kept when it is won."""
MOVES: Final = ("win", "lose", "escalate", "prevent", "close")
NETWORK_CODES: Final = {"fraudulent": "10.4", "product_not_received": "13.1"}
# What the deadline decides on a dispute without evidence.
_UNANSWERED: Final = {"needs_response": "lose", "warning_needs_response": "close"}
# What test evidence makes the bank decide; with other evidence it stays under review.
_TEST_EVIDENCE: Final = {
    "winning_evidence": "win",
    "losing_evidence": "lose",
    "escalate_inquiry_evidence": "escalate",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeResponse:
    """A merchant's response to a dispute: evidence or acceptance."""

    reference: str
    evidence: dict[str, str] | None
    """None: the dispute is accepted."""
    stage: str = ""
    """The stage that it answers; empty: the present one."""


class Disputes:
    """Executes what happens to disputes, against one Truth."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth

    def plan(self, payment: Payment, behavior: Behavior, now_ms: int) -> None:
        """Schedule the disputes that the token scripts for a first capture."""
        plans = DISPUTES_OF.get(TOKENS[payment.token].dispute, ())
        if payment.disputes_planned:
            return
        for number, (reason, inquiry) in enumerate(plans, start=1):
            due_ms = now_ms + int(behavior.settle_delay_seconds * 1000 * number)
            planned = {
                "reason": reason,
                "inquiry": inquiry,
                "share": len(plans),
                "number": number,
                "deadline_ms": int(behavior.dispute_deadline_seconds * 1000),
            }
            self._schedule(payment, due_ms, opens=planned)

    def settle(self, payment: Payment, due: DueDispute, now_ms: int, behavior: Behavior) -> None:
        """Execute what was due, unless another decision came first."""
        if due.opens is not None:
            self._open_planned(payment, due.opens, now_ms)
            return
        dispute = self._truth.disputes[due.dispute_id]
        if due.move != "deadline":
            if dispute.status in _allows(dispute, due.move)[0]:
                self.move(dispute, due.move, now_ms=now_ms, behavior=behavior)
        elif dispute.status in _UNANSWERED and now_ms >= dispute.due_ms:
            self.move(dispute, _UNANSWERED[dispute.status], now_ms=now_ms, behavior=behavior)

    def open(
        self,
        payment: Payment,
        *,
        amount_minor: int,
        reason: str,
        inquiry: bool,
        due_ms: int,
        now_ms: int,
    ) -> Dispute:
        """Open a dispute of a captured payment; a chargeback takes the money at once."""
        if not payment.captured_minor:
            raise forbidden_now("nothing_captured", "nothing has been captured")
        dispute_id = f"sdp_{secrets.token_hex(10)}"
        self._truth.record(
            {
                "t": "dispute",
                "id": dispute_id,
                "payment": payment.id,
                "amount": amount_minor,
                "reason": reason,
                "inquiry": inquiry,
                "status": "warning_needs_response" if inquiry else "needs_response",
                "at": now_ms,
                "due": due_ms,
            }
        )
        dispute = self._truth.disputes[dispute_id]
        if not inquiry:
            self._withdraw(dispute, now_ms)
        self._schedule(payment, due_ms, dispute_id=dispute_id, move="deadline")
        return dispute

    def move(
        self,
        dispute: Dispute,
        move: str,
        *,
        now_ms: int,
        behavior: Behavior,
        return_fee: bool = False,
    ) -> Dispute:
        """Decide a dispute, or escalate an inquiry; refuses what its status does not allow."""
        allowed, status = _allows(dispute, move)
        if dispute.status not in allowed:
            raise forbidden_now("dispute_state", f"a dispute that is {dispute.status}: no {move}")
        if move == "escalate":
            due_ms = now_ms + int(behavior.dispute_deadline_seconds * 1000)
            self._change(dispute, now_ms, status=status, due=due_ms)
            self._withdraw(dispute, now_ms)
            self._schedule(dispute.payment, due_ms, dispute_id=dispute.id, move="deadline")
            return dispute
        self._change(dispute, now_ms, status=status)
        if status in ("won", "prevented") and dispute.withdrawn:
            self._effect(dispute, "dispute_reversed", dispute.amount_minor, now_ms)
            if return_fee:
                self._effect(dispute, "dispute_fee_returned", dispute.fee_minor, now_ms)
        return dispute

    def respond(
        self, dispute: Dispute, response: DisputeResponse, *, now_ms: int, behavior: Behavior
    ) -> None:
        """Take the evidence, or the acceptance, which is final: a chargeback is lost.

        Refuses one for another stage, if it names a stage.
        """
        if response.stage not in ("", dispute.stage):
            raise forbidden_now("dispute_stage", f"the dispute is in its stage {dispute.stage}")
        if response.evidence is not None:
            self._submit(dispute, response.reference, response.evidence, now_ms, behavior)
            return
        if dispute.status not in OPEN:
            raise forbidden_now("dispute_state", f"the dispute is {dispute.status}")
        status = "lost" if dispute.stage == "chargeback" else "warning_closed"
        self._change(dispute, now_ms, status=status, accepted=response.reference)

    def _submit(
        self,
        dispute: Dispute,
        reference: str,
        evidence: dict[str, str],
        now_ms: int,
        behavior: Behavior,
    ) -> None:
        """Take the evidence of this stage, once. Test evidence decides after the settle delay."""
        if any(each["stage"] == dispute.stage for each in dispute.submissions):
            raise forbidden_now("evidence_already_submitted", "taken once per stage")
        if dispute.status not in ("needs_response", "warning_needs_response"):
            raise forbidden_now("dispute_state", f"the dispute is {dispute.status}")
        if now_ms >= dispute.due_ms:
            raise forbidden_now("evidence_past_due", "the deadline for evidence is over")
        status = dispute.status.replace("needs_response", "under_review")
        self._change(dispute, now_ms, status=status, reference=reference, evidence=evidence)
        for text, move in _TEST_EVIDENCE.items():
            if text in evidence.values() and (move != "escalate" or dispute.stage == "inquiry"):
                due_ms = now_ms + int(behavior.settle_delay_seconds * 1000)
                if move == "lose" and dispute.stage == "inquiry":
                    move = "escalate"
                self._schedule(dispute.payment, due_ms, dispute_id=dispute.id, move=move)

    def _open_planned(self, payment: Payment, planned: dict[str, Any], now_ms: int) -> None:
        share, number = planned["share"], planned["number"]
        each = payment.captured_minor // share
        amount_minor = payment.captured_minor - each * (share - 1) if number == share else each
        if amount_minor:
            self.open(
                payment,
                amount_minor=amount_minor,
                reason=planned["reason"],
                inquiry=planned["inquiry"],
                due_ms=now_ms + planned["deadline_ms"],
                now_ms=now_ms,
            )

    def _withdraw(self, dispute: Dispute, now_ms: int) -> None:
        self._effect(dispute, "dispute", dispute.amount_minor, now_ms)
        self._effect(dispute, "dispute_fee", FEE_MINOR, now_ms)

    def _change(self, dispute: Dispute, now_ms: int, **fields: Any) -> None:
        self._truth.record({"t": "dispute_change", "id": dispute.id, "at": now_ms, **fields})

    def _effect(self, dispute: Dispute, kind: str, amount_minor: int, now_ms: int) -> None:
        self._truth.record(
            {
                "t": "dispute_effect",
                "kind": kind,
                "id": dispute.id,
                "amount": amount_minor,
                "at": now_ms,
            }
        )

    def _schedule(self, payment: Payment, due_ms: int, **fields: Any) -> None:
        self._truth.record(
            {"t": "dispute_due", "payment": payment.id, "due": due_ms, "words": fields}
        )


def _allows(dispute: Dispute, move: str) -> tuple[tuple[str, ...], str]:
    """The statuses in which a move may be made, and the one it leads to."""
    return {
        "win": (OPEN, "won" if dispute.stage == "chargeback" else "warning_closed"),
        "lose": (CHARGEBACK_OPEN, "lost"),
        "escalate": (INQUIRY_OPEN, "needs_response"),
        "prevent": (OPEN, "prevented"),
        "close": (INQUIRY_OPEN, "warning_closed"),
    }[move]


def dispute_view(dispute: Dispute) -> dict[str, Any]:
    """The whole dispute as JSON."""
    payment = dispute.payment
    return {
        "object": "dispute",
        "id": dispute.id,
        "payment_id": payment.id,
        "reference": payment.reference,
        "order_id": payment.order_id,
        "status": dispute.status,
        "inquiry": dispute.inquiry,
        "amount_minor": dispute.amount_minor,
        "currency": payment.currency,
        "reason": dispute.reason,
        "network_reason_code": NETWORK_CODES.get(dispute.reason, ""),
        "created_at": iso(dispute.at_ms),
        "evidence_due_by": iso(dispute.due_ms),
        "fee_minor": dispute.fee_minor,
        "fee_returned_minor": dispute.fee_returned_minor,
        "funds_withdrawn": dispute.withdrawn,
        "funds_reinstated": dispute.reinstated,
        "refundable": dispute.stage == "inquiry" or dispute.status == "won",
        "submissions": dispute.submissions,
        "accepted_reference": dispute.accepted_reference,
    }
