"""Chargebacks at Mollie: found in the list of all, and answered in Mollie's own dashboard."""

from __future__ import annotations

import pytest

from ledger.money import Money
from psp_adapters.contract.disputes import DisputeRequest, DisputeStatus
from psp_adapters.contract.operations import Outcome, PspUnavailable
from psp_adapters.tests.support.mollie_double import adapter_answered, chargeback_view, page_of

REQUEST = DisputeRequest(
    psp_key="key", reference="dr_1", psp_dispute_id="chb_1", answers_inquiry=False
)


def test_a_chargeback_took_its_amount_and_names_our_payment() -> None:
    adapter, transport = adapter_answered(
        page_of("chargebacks", chargeback_view(id="chb_2"), following="chb_1"),
        page_of("chargebacks", chargeback_view(reason={"code": "AM04", "description": "x"})),
    )
    found = adapter.look_up_dispute("chb_1", deadline_seconds=1)
    assert found is not None
    assert (found.psp_payment_id, found.payment_reference) == ("tr_1", "op_1")
    assert (found.status, found.amount) == (DisputeStatus.NEEDS_RESPONSE, Money(1000, "EUR"))
    assert (found.funds_withdrawn, found.funds_reinstated) == (True, False)
    assert (found.reason, found.network_reason_code) == ("insufficient_funds", "AM04")
    assert (found.evidence_due_by, found.fee) == (None, Money(0, "EUR"))
    assert transport.requests[0][2]["embed"] == "payment"


def test_a_reversed_chargeback_is_won_and_an_unknown_one_not_found() -> None:
    listed = page_of("chargebacks", chargeback_view(reversedAt="2026-02-01T12:00:00+00:00"))
    adapter, _ = adapter_answered(listed, listed, page_of("chargebacks", chargeback_view(amount=1)))
    found = adapter.look_up_dispute("chb_1", deadline_seconds=1)
    assert found is not None
    assert (found.status, found.funds_reinstated) == (DisputeStatus.WON, True)
    assert adapter.look_up_dispute("chb_9", deadline_seconds=1) is None
    with pytest.raises(PspUnavailable):
        adapter.look_up_dispute("chb_1", deadline_seconds=1)


def test_a_response_is_declined_without_a_call() -> None:
    adapter, transport = adapter_answered()
    for verb in (adapter.submit_evidence, adapter.accept_dispute):
        result = verb(REQUEST, deadline_seconds=1)
        assert (result.outcome, result.code) == (Outcome.DECLINED, "dispute_unexpected_state")
        assert "dashboard" in result.message
    assert transport.requests == []
