"""Disputes at Stripe: the contract against a double of ours, and what Stripe's objects say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ledger.money import Money
from psp_adapters.contract.adapter import PspAdapter
from psp_adapters.contract.disputes import DisputeRequest
from psp_adapters.contract.operations import Outcome
from psp_adapters.stripe import disputes
from psp_adapters.stripe.adapter import StripeAdapter
from psp_adapters.tests.suites.dispute_suite import DisputeContract
from psp_adapters.tests.support.stripe_double import (
    CREATED,
    DisputeDouble,
    adapter_answered,
    adapter_answered_by,
    dispute_view,
)

REQUEST = DisputeRequest(
    psp_key="key",
    reference="dr_1",
    psp_dispute_id="dp_1",
    answers_inquiry=False,
    evidence={"uncategorized_text": "It was delivered."},
)


@pytest.fixture
def adapter() -> Iterator[StripeAdapter]:
    adapter, _ = adapter_answered_by(DisputeDouble().answer)
    yield adapter
    adapter.close()


class TestStripeDisputes(DisputeContract):
    good_token = "pm_card_visa"

    def open_dispute(self, adapter: PspAdapter, order_id: str) -> str:
        return "dp_1"


def shown(**changes: Any) -> Any:
    return disputes.dispute_of(dispute_view(**changes), psp_dispute_id="dp_1")


def test_a_chargeback_says_what_it_took_and_why() -> None:
    found = shown()
    assert (found.psp_payment_id, found.payment_reference) == ("pi_1", "op_1")
    assert (found.amount, found.fee) == (Money(1000, "USD"), Money(1500, "USD"))
    assert (found.reason, found.network_reason_code) == ("product_not_received", "13.1")
    assert (found.funds_withdrawn, found.funds_reinstated) == (True, False)


def test_a_won_dispute_shows_what_was_returned() -> None:
    taken = dispute_view()["balance_transactions"][0]
    back = taken | {"amount": 1000, "fee": -1500, "reporting_category": "dispute_reversal"}
    found = shown(status="won", balance_transactions=[taken, back])
    assert (found.funds_reinstated, found.fee_returned) == (True, Money(1500, "USD"))
    assert found.evidence_due_by is None


def test_an_inquiry_took_nothing_and_an_unknown_reason_is_general() -> None:
    found = shown(status="warning_needs_response", balance_transactions=[], reason="new_reason")
    assert (found.is_inquiry, found.began_as_inquiry, found.funds_withdrawn) == (True, True, False)
    assert (found.reason, found.fee) == ("general", Money.zero("USD"))


def test_a_fee_in_another_currency_is_left_out_and_the_dispute_kept(
    caplog: pytest.LogCaptureFixture,
) -> None:
    taken = dispute_view()["balance_transactions"][0] | {"currency": "eur"}
    found = shown(balance_transactions=[taken])
    assert (found.amount, found.fee) == (Money(1000, "USD"), Money.zero("USD"))
    assert (found.funds_withdrawn, found.evidence_due_by is not None) == (True, True)
    assert "left out the fee" in caplog.text


@pytest.mark.parametrize(("after_seconds", "began"), [(0, False), (5 * 86_400, True)])
def test_an_inquiry_that_became_a_chargeback_began_as_an_inquiry(
    after_seconds: int, began: bool
) -> None:
    taken = dispute_view()["balance_transactions"][0] | {"created": CREATED + after_seconds}
    found = shown(balance_transactions=[taken])
    assert (found.is_inquiry, found.began_as_inquiry) == (False, began)


@pytest.mark.parametrize(
    ("status", "error", "outcome"),
    [
        (409, {"type": "idempotency_error", "code": "idempotency_key_in_use"}, Outcome.UNKNOWN),
        (500, {"type": "api_error"}, Outcome.UNKNOWN),
        (429, {"type": "invalid_request_error"}, Outcome.NOT_SENT),
        (429, {"type": "invalid_request_error", "code": "lock_timeout"}, Outcome.UNKNOWN),
        (403, {"type": "invalid_request_error"}, Outcome.UNKNOWN),
        (401, {"type": "invalid_request_error"}, Outcome.NOT_SENT),
        (400, {"type": "invalid_request_error", "message": "past due"}, Outcome.DECLINED),
    ],
)
def test_each_refusal_of_evidence_has_its_outcome(
    status: int, error: dict[str, str], outcome: Outcome
) -> None:
    adapter, transport = adapter_answered((200, dispute_view()), (status, {"error": error}))
    assert adapter.submit_evidence(REQUEST, deadline_seconds=1).outcome is outcome
    _, path, form = transport.requests[-1]
    assert path == "/v1/disputes/dp_1"
    assert form["submit"] == "true"
    assert form["evidence[uncategorized_text]"] == "It was delivered."
    assert transport.keys[-1] == "key"


def test_an_acceptance_whose_note_gets_no_answer_is_not_sent() -> None:
    adapter, transport = adapter_answered((200, dispute_view()), (500, {"error": {}}))
    result = adapter.accept_dispute(REQUEST, deadline_seconds=1)
    assert result.outcome is Outcome.NOT_SENT
    assert not any(path.endswith("/close") for _, path, _ in transport.requests)


def test_times_are_in_utc() -> None:
    assert shown().opened_at.timestamp() == CREATED
    assert shown().opened_at.utcoffset() is not None
