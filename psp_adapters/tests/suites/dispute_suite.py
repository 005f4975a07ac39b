"""What every PSP adapter must do with disputes, as tests to inherit; nothing of any PSP."""

from __future__ import annotations

import uuid
from dataclasses import replace

import pytest

from ledger.money import Money
from psp_adapters.contract.adapter import PspAdapter
from psp_adapters.contract.disputes import DisputeRequest, DisputeStatus
from psp_adapters.contract.operations import Outcome
from psp_adapters.tests.suites.contract_suite import DEADLINE_SECONDS, PspUnderTest


class DisputeContract(PspUnderTest):
    """Inherit, and implement the first."""

    def open_dispute(self, adapter: PspAdapter, order_id: str) -> str:
        """Have a captured payment of 10.00 USD charged back; the PSP's id of the dispute."""
        raise NotImplementedError

    def disputed(self, adapter: PspAdapter, order_id: str) -> DisputeRequest:
        """A response to a new dispute."""
        if not adapter.capabilities.disputes:
            pytest.skip("capability disputes is off")
        self.authorize(adapter, order_id, capture=True)
        reference = f"dr-{uuid.uuid4().hex}"
        return DisputeRequest(
            psp_key=f"key-{reference}",
            reference=reference,
            psp_dispute_id=self.open_dispute(adapter, order_id),
            answers_inquiry=False,
            evidence={"uncategorized_text": "It was delivered."},
        )

    def test_a_chargeback_is_shown_completely(self, adapter: PspAdapter, order_id: str) -> None:
        request = self.disputed(adapter, order_id)
        found = adapter.look_up_dispute(request.psp_dispute_id, deadline_seconds=DEADLINE_SECONDS)
        assert found is not None
        assert found.psp_dispute_id == request.psp_dispute_id
        assert (found.status, found.began_as_inquiry) == (DisputeStatus.NEEDS_RESPONSE, False)
        assert found.amount == Money(1000, "USD")
        assert found.funds_withdrawn
        assert found.reason
        assert found.evidence_due_by is not None
        assert found.evidence_due_by.utcoffset() is not None
        assert (found.submissions, found.acceptance) == ((), "")

    def test_an_unknown_dispute_is_not_found(self, adapter: PspAdapter) -> None:
        if not adapter.capabilities.disputes:
            pytest.skip("capability disputes is off")
        assert adapter.look_up_dispute("unknown", deadline_seconds=DEADLINE_SECONDS) is None

    def test_evidence_is_taken_once(self, adapter: PspAdapter, order_id: str) -> None:
        request = self.disputed(adapter, order_id)
        for _ in range(2):  # the same request again is the same submission
            taken = adapter.submit_evidence(request, deadline_seconds=DEADLINE_SECONDS)
            assert taken.outcome is Outcome.SUCCEEDED
            assert taken.dispute is not None
            assert taken.dispute.status is DisputeStatus.UNDER_REVIEW
            assert taken.dispute.submissions == (request.reference,)
        other = replace(request, psp_key="another", reference="another")
        refused = adapter.submit_evidence(other, deadline_seconds=DEADLINE_SECONDS)
        assert refused.outcome is Outcome.DECLINED
        assert refused.code == "dispute_evidence_already_submitted"

    def test_an_acceptance_is_final(self, adapter: PspAdapter, order_id: str) -> None:
        request = replace(self.disputed(adapter, order_id), evidence={})
        for _ in range(2):
            accepted = adapter.accept_dispute(request, deadline_seconds=DEADLINE_SECONDS)
            assert accepted.outcome is Outcome.SUCCEEDED
            assert accepted.dispute is not None
            assert accepted.dispute.status is DisputeStatus.LOST
            assert accepted.dispute.acceptance == request.reference
        late = replace(request, psp_key="another", reference="another")
        refused = adapter.submit_evidence(
            replace(late, evidence={"uncategorized_text": "No."}),
            deadline_seconds=DEADLINE_SECONDS,
        )
        assert refused.outcome is Outcome.DECLINED

    def test_a_response_to_an_inquiry_does_not_answer_a_chargeback(
        self, adapter: PspAdapter, order_id: str
    ) -> None:
        request = replace(self.disputed(adapter, order_id), answers_inquiry=True)
        for verb in (adapter.accept_dispute, adapter.submit_evidence):
            refused = verb(request, deadline_seconds=DEADLINE_SECONDS)
            assert refused.outcome is Outcome.DECLINED
            assert refused.code == "dispute_unexpected_state"
        found = adapter.look_up_dispute(request.psp_dispute_id, deadline_seconds=DEADLINE_SECONDS)
        assert found is not None
        assert (found.status, found.submissions) == (DisputeStatus.NEEDS_RESPONSE, ())

    def test_no_time_left_means_no_response_was_sent(
        self, adapter: PspAdapter, order_id: str
    ) -> None:
        request = self.disputed(adapter, order_id)
        result = adapter.submit_evidence(request, deadline_seconds=0)
        assert result.outcome is Outcome.NOT_SENT
