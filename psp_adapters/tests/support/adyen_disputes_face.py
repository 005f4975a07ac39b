"""The part of the face of the sandbox PSP that speaks Adyen's dispute service.

The sandbox PSP decides; the face states what it decided, as Adyen's notifications do. No tests.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from psp_adapters.adyen import dispute_facts
from psp_adapters.contract.disputes import DisputeRequest, DisputeStatus
from psp_adapters.contract.operations import Outcome
from psp_adapters.sandbox.adapter import SandboxAdapter

Json = dict[str, Any]
PREFIX = "/disputes"
"""Of the paths of these calls at the face."""
REASON = "SupplyDefenseMaterial"
DOCUMENT = "DefenseMaterial"
REASON_CODES = {"fraudulent": "10.4", "product_not_received": "13.1"}


@dataclass
class FaceDispute:
    """One dispute as Adyen would keep it."""

    sandbox_id: str
    is_inquiry: bool
    said: Json
    """What every notification about it says."""
    documents: dict[str, bytes] = field(default_factory=dict)
    refusal: str = ""
    """Why its defense is refused; empty: it is not."""


class DisputesFace:
    """Answers the five calls, and states events through `state`."""

    def __init__(self, sandbox: SandboxAdapter, state: Callable[..., Json]) -> None:
        self._sandbox, self._state = sandbox, state
        self.known: dict[str, FaceDispute] = {}

    def open(self, dispute_id: str, opened: Json, *, payment_id: str, reference: str) -> None:
        """Announce a dispute that the sandbox PSP opened, and take its money if it does."""
        amount = {"currency": opened["currency"], "value": opened["amount_minor"]}
        is_inquiry = opened["status"].startswith("warning_")
        said = {"psp_id": dispute_id, "original": payment_id, "reference": reference}
        self.known[dispute_id] = FaceDispute(opened["id"], is_inquiry, {**said, "amount": amount})
        code = REASON_CODES.get(opened["reason"], "")
        due = datetime.now(UTC) + timedelta(days=7)
        told = {"defensePeriodEndsAt": due.isoformat(timespec="seconds"), "defendable": "true"}
        if is_inquiry:
            told |= {"rfiReasonCode": code, "disputeStatus": "Unresponded"}
            self.tell(dispute_id, dispute_facts.INQUIRY, **told)
            return
        told |= {"chargebackReasonCode": code, "disputeStatus": "Undefended"}
        self.tell(dispute_id, dispute_facts.ANNOUNCED, **told)
        self.tell(dispute_id, dispute_facts.CHARGED_BACK, **told)

    def tell(self, dispute_id: str, event: str, **extra: str) -> None:
        """State an event about a dispute."""
        self._state(event, extra=extra, **self.known[dispute_id].said)

    def tell_the_decision(self, dispute_id: str) -> None:
        """State what the bank has decided at the sandbox PSP."""
        shown = self._shown(dispute_id)
        if shown is DisputeStatus.WON:
            self.tell(dispute_id, dispute_facts.REVERSED)
            self.tell(dispute_id, "ISSUER_RESPONSE_TIMEFRAME_EXPIRED", disputeStatus="Won")
        elif shown is DisputeStatus.LOST:
            self.tell(dispute_id, "PREARBITRATION_LOST", disputeStatus="Lost")
        else:
            raise AssertionError(f"it is {shown}: nothing is decided")

    def answer(self, verb: str, body: Json, key: str) -> tuple[int, Json]:
        """Status and body of the answer to one call."""
        dispute_id = body["disputePspReference"]
        dispute = self.known.get(dispute_id)
        if dispute is None:
            return 422, _error("Dispute not found")
        match verb:
            case "retrieveApplicableDefenseReasons":
                return 200, self._reasons(dispute)
            case "supplyDefenseDocument":
                for each in body["defenseDocuments"]:
                    content = base64.b64decode(each["content"], validate=True)
                    assert each["contentType"] == "application/pdf"
                    assert content.startswith(b"%PDF-")
                    dispute.documents[each["defenseDocumentTypeCode"]] = content
                return 200, _result()
            case "defendDispute":
                return 200, self._defend(dispute_id, dispute, body, key)
            case "acceptDispute":
                return 200, self._accept(dispute_id, dispute, key)
            case _:
                return 404, _error("no such call")

    def _reasons(self, dispute: FaceDispute) -> Json:
        shown = self._sandbox.look_up_dispute(dispute.sandbox_id, deadline_seconds=5)
        assert shown is not None
        if shown.evidence_due_by is None:
            return {**_result(), "defenseReasons": []}
        levels = {"TIDorInvoice": "Optional", DOCUMENT: "Required"}
        types = [
            {
                "available": code in dispute.documents,
                "defenseDocumentTypeCode": code,
                "requirementLevel": level,
            }
            for code, level in levels.items()
        ]
        satisfied = DOCUMENT in dispute.documents
        reason = {"defenseReasonCode": REASON, "defenseDocumentTypes": types}
        return {**_result(), "defenseReasons": [{**reason, "satisfied": satisfied}]}

    def _defend(self, dispute_id: str, dispute: FaceDispute, body: Json, key: str) -> Json:
        if body["defenseReasonCode"] != REASON or DOCUMENT not in dispute.documents:
            return _result("Insufficient defense material")
        if dispute.refusal:
            return _result(dispute.refusal)
        done = self._respond(dispute, key, evidence={"uncategorized_text": "A document."})
        if done:
            self.tell(dispute_id, dispute_facts.ANSWERED, disputeStatus="Pending")
        return _result("" if done else "Dispute cannot be defended")

    def _accept(self, dispute_id: str, dispute: FaceDispute, key: str) -> Json:
        done = self._respond(dispute, key, evidence={})
        if done:
            self.tell(dispute_id, dispute_facts.PERIOD_ENDED, disputeStatus="Accepted")
        return _result("" if done else "Dispute cannot be accepted")

    def _respond(self, dispute: FaceDispute, key: str, *, evidence: dict[str, str]) -> bool:
        request = DisputeRequest(
            psp_key=key,
            reference=f"face-{key}",
            psp_dispute_id=dispute.sandbox_id,
            answers_inquiry=dispute.is_inquiry,
            evidence=evidence,
        )
        verb = self._sandbox.submit_evidence if evidence else self._sandbox.accept_dispute
        return verb(request, deadline_seconds=5).outcome is Outcome.SUCCEEDED

    def _shown(self, dispute_id: str) -> DisputeStatus:
        sandbox_id = self.known[dispute_id].sandbox_id
        shown = self._sandbox.look_up_dispute(sandbox_id, deadline_seconds=5)
        assert shown is not None
        return shown.status


def _result(error: str = "") -> Json:
    said = {"success": False, "errorMessage": error} if error else {"success": True}
    return {"disputeServiceResult": said}


def _error(message: str) -> Json:
    return {"status": 422, "errorCode": "702", "errorType": "validation", "message": message}
