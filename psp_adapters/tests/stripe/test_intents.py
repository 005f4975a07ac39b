"""Stripe's payment intents and refunds are read as operations of a payment."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ledger.money import Money
from psp_adapters.contract.answers import Contradiction
from psp_adapters.contract.operations import LookUp, OperationKind, Outcome, PspRequest
from psp_adapters.contract.payments import PspOperationKind, PspPayment, PspPaymentStatus
from psp_adapters.stripe import intents
from psp_adapters.tests.suites.contract_suite import send
from psp_adapters.tests.support.stripe_double import (
    CREATED,
    adapter_answered,
    intent_view,
    refund_view,
)

K = OperationKind
CAPTURE = PspRequest(
    kind=K.CAPTURE,
    psp_key="key",
    reference="op_bbbbbbbbbbbbbbbbbbbbb2",
    amount=Money(700, "USD"),
    psp_payment_id="pi_1",
)


def captured(**metadata: str) -> dict[str, Any]:
    return intent_view(
        status="succeeded",
        amount_received=700,
        amount_capturable=0,
        metadata={"reference": "op_1", "op_bbbbbbbbbbbbbbbbbbbbb2": "capture 700", **metadata},
    )


def declined(**changes: Any) -> dict[str, Any]:
    return intent_view(**{"status": "requires_payment_method", "latest_charge": None} | changes)


def payment(view: dict[str, Any], *refunds: dict[str, Any]) -> PspPayment:
    return intents.payment_of(view, refunds, psp_payment_id="pi_1")


@pytest.mark.parametrize(
    ("view", "outcome"),
    [
        (intent_view(status="succeeded", amount_received=1000), Outcome.SUCCEEDED),
        (intent_view(status="processing"), Outcome.PENDING),
        (intent_view(status="requires_action"), Outcome.REQUIRES_ACTION),
        (intent_view(status="requires_payment_method", latest_charge=None), Outcome.UNKNOWN),
        (declined(last_payment_error={"code": "card_declined"}), Outcome.DECLINED),
        (declined(latest_charge={"status": "failed"}), Outcome.DECLINED),
        (intent_view(status="canceled"), Outcome.SUCCEEDED),
        (intent_view(status="canceled", latest_charge=None), Outcome.DECLINED),
    ],
)
def test_every_status_has_its_outcome(view: dict[str, Any], outcome: Outcome) -> None:
    assert intents.authorization_of(intents.Intent(view)).outcome is outcome


def test_a_challenge_leads_the_customer_to_stripe() -> None:
    action = {"type": "redirect_to_url", "redirect_to_url": {"url": "https://hooks.stripe.com/3"}}
    view = intent_view(status="requires_action", next_action=action, latest_charge=None)
    assert (
        intents.authorization_of(intents.Intent(view)).redirect_url == "https://hooks.stripe.com/3"
    )


def test_several_captures_each_have_an_id_of_their_own() -> None:
    first = replace(CAPTURE, amount=Money(300, "USD"), final=False)
    noted = {"reference": "op_1", "op_bbbbbbbbbbbbbbbbbbbbb2": "capture 300 more"}
    view = intent_view(amount_received=300, amount_capturable=700, metadata=noted)
    adapter, transport = adapter_answered((200, intent_view()), (200, view))
    result = send(adapter, first)
    assert (result.psp_id, result.amount) == ("pi_1/op_bbbbbbbbbbbbbbbbbbbbb2", Money(300, "USD"))
    assert transport.requests[1][2]["final_capture"] == "false"
    both = captured(
        op_bbbbbbbbbbbbbbbbbbbbb2="capture 300 more", op_bbbbbbbbbbbbbbbbbbbbb3="capture 400"
    )
    found = payment(both)
    assert [(act.kind, act.psp_id, act.amount.minor, act.final) for act in found.operations] == [
        (PspOperationKind.AUTHORIZE, "pi_1", 1000, True),
        (PspOperationKind.CAPTURE, "pi_1/op_bbbbbbbbbbbbbbbbbbbbb2", 300, False),
        (PspOperationKind.CAPTURE, "pi_1", 400, True),
    ]


def test_a_capture_of_all_that_is_left_is_sent_as_the_last() -> None:
    request = replace(CAPTURE, amount=Money(1000, "USD"), final=False)
    noted = {"reference": "op_1", "op_bbbbbbbbbbbbbbbbbbbbb2": "capture 1000"}
    after = intent_view(
        status="succeeded", amount_received=1000, amount_capturable=0, metadata=noted
    )
    adapter, transport = adapter_answered((200, intent_view()), (200, after), (200, after))
    for _ in range(2):
        result = send(adapter, request)
        assert (result.outcome, result.amount) == (Outcome.SUCCEEDED, Money(1000, "USD"))
    assert [method for method, _, _ in transport.requests] == ["GET", "POST", "GET"]
    assert "final_capture" not in transport.requests[1][2]
    adapter, transport = adapter_answered((500, {"error": {"type": "api_error"}}))
    assert send(adapter, request).outcome is Outcome.NOT_SENT
    assert [method for method, _, _ in transport.requests] == ["GET"]


def test_operations_in_the_dashboard_are_shown_without_a_reference_of_ours() -> None:
    view = intent_view(status="succeeded", amount_received=700, amount_capturable=0)
    found = payment(view, refund_view(metadata={}))
    assert [(act.kind, act.reference, act.amount.minor) for act in found.operations] == [
        (PspOperationKind.AUTHORIZE, "op_1", 1000),
        (PspOperationKind.CAPTURE, "", 700),
        (PspOperationKind.REFUND, "", 400),
    ]
    adapter, _ = adapter_answered((200, view))
    query = LookUp(kind=K.CAPTURE, reference="", psp_id="pi_1")
    captured_there = adapter.look_up(query, deadline_seconds=1)
    assert captured_there is not None
    assert captured_there.amount == Money(700, "USD")


@pytest.mark.parametrize(
    ("reason", "status", "kind", "reference"),
    [
        ("automatic", PspPaymentStatus.EXPIRED, PspOperationKind.EXPIRE, ""),
        ("expired", PspPaymentStatus.EXPIRED, PspOperationKind.EXPIRE, ""),
        (None, PspPaymentStatus.RELEASED, PspOperationKind.VOID, "op_bbbbbbbbbbbbbbbbbbbbb2"),
    ],
)
def test_an_expired_hold_is_no_void(
    reason: str | None, status: PspPaymentStatus, kind: PspOperationKind, reference: str
) -> None:
    metadata = {"reference": "op_1", "op_bbbbbbbbbbbbbbbbbbbbb2": "void 1000"}
    view = intent_view(
        status="canceled", amount_capturable=0, cancellation_reason=reason, metadata=metadata
    )
    found = payment(view)
    assert (found.status, found.held) == (status, Money.zero("USD"))
    last = found.operations[-1]
    assert (last.kind, last.reference, last.amount) == (kind, reference, Money(1000, "USD"))
    void = intents.change_of(
        intents.Intent(view), kind=K.VOID, reference="op_bbbbbbbbbbbbbbbbbbbbb2"
    )
    assert (void is None) == (reason is not None)


def test_a_void_after_a_capture_in_part_releases_the_rest() -> None:
    metadata = {
        "reference": "op_1",
        "op_bbbbbbbbbbbbbbbbbbbbb2": "capture 300 more",
        "op_bbbbbbbbbbbbbbbbbbbbb3": "void 700",
    }
    view = intent_view(
        status="succeeded", amount_received=300, amount_capturable=0, metadata=metadata
    )
    found = payment(view)
    assert found.status is PspPaymentStatus.CAPTURED
    last = found.operations[-1]
    assert (last.kind, last.reference) == (PspOperationKind.VOID, "op_bbbbbbbbbbbbbbbbbbbbb3")
    assert last.amount == Money(700, "USD")
    assert (
        intents.change_of(
            intents.Intent(captured()), kind=K.VOID, reference="op_bbbbbbbbbbbbbbbbbbbbb3"
        )
        is None
    )


@pytest.mark.parametrize(
    ("reason", "noted", "kind"),
    [
        (None, False, PspOperationKind.EXPIRE),
        ("expired", True, PspOperationKind.EXPIRE),
        (None, True, PspOperationKind.VOID),
        ("requested_by_customer", False, PspOperationKind.VOID),
    ],
)
def test_a_rest_that_expired_after_a_capture_in_part_is_no_void(
    reason: str | None, noted: bool, kind: PspOperationKind
) -> None:
    void = {"op_bbbbbbbbbbbbbbbbbbbbb3": "void 700"} if noted else {}
    view = intent_view(
        status="succeeded",
        amount_received=300,
        amount_capturable=0,
        cancellation_reason=reason,
        metadata={"reference": "op_1", "op_bbbbbbbbbbbbbbbbbbbbb2": "capture 300 more", **void},
    )
    assert (payment(view).operations[-1].kind, payment(view).status) == (
        kind,
        PspPaymentStatus.CAPTURED,
    )
    found = intents.change_of(
        intents.Intent(view), kind=K.VOID, reference="op_bbbbbbbbbbbbbbbbbbbbb3"
    )
    assert (found is None) == (kind is PspOperationKind.EXPIRE)


@pytest.mark.parametrize(
    ("kind", "metadata", "received"),
    [
        (K.CAPTURE, {"op_bbbbbbbbbbbbbbbbbbbbb2": "capture 700 more"}, 699),
        (
            K.CAPTURE,
            {
                "op_bbbbbbbbbbbbbbbbbbbbb2": "capture 700 more",
                "op_bbbbbbbbbbbbbbbbbbbbb3": "capture 1",
            },
            700,
        ),
        (K.INCREMENT, {"op_bbbbbbbbbbbbbbbbbbbbb2": "increment 1000"}, 0),
    ],
)
def test_a_note_without_the_money_is_no_success(
    kind: OperationKind, metadata: dict[str, str], received: int
) -> None:
    view = intent_view(amount_received=received, metadata={"reference": "op_1", **metadata})
    with pytest.raises(Contradiction, match="notes of"):
        intents.change_of(intents.Intent(view), kind=kind, reference="op_bbbbbbbbbbbbbbbbbbbbb2")


def test_the_release_of_a_hold_that_is_listed_as_a_refund_is_none() -> None:
    release = refund_view(metadata={}, balance_transaction=None)
    assert len(payment(captured(), release).operations) == 2
    for name in ("type", "reporting_category"):
        moved = {"id": "txn_2", name: "partial_capture_reversal"}
        release = refund_view(metadata={}, balance_transaction=moved)
        assert len(payment(captured(), release).operations) == 2
    refund = refund_view(metadata={}, balance_transaction={"id": "txn_2", "type": "refund"})
    assert len(payment(captured(), refund).operations) == 3


def test_refunds_are_listed_with_what_they_did_to_the_balance() -> None:
    empty = {"data": [], "has_more": False, "object": "list"}
    adapter, transport = adapter_answered((200, captured()), (200, empty))
    assert adapter.look_up_payment("pi_1", deadline_seconds=1) is not None
    assert transport.requests[1][2]["expand[0]"] == "data.balance_transaction"


@pytest.mark.parametrize(
    ("status", "outcome", "code"),
    [
        ("succeeded", Outcome.SUCCEEDED, ""),
        ("pending", Outcome.PENDING, ""),
        ("requires_action", Outcome.PENDING, ""),
        ("failed", Outcome.DECLINED, "processing_error"),
        ("canceled", Outcome.DECLINED, "processing_error"),
    ],
)
def test_every_status_of_a_refund_has_its_outcome(status: str, outcome: Outcome, code: str) -> None:
    result = intents.refund_of(refund_view(status=status), reference="op_3")
    assert (result.outcome, result.code) == (outcome, code)


def test_times_of_operations_are_those_that_stripe_gives() -> None:
    found = payment(captured(), refund_view())
    assert [act.at.timestamp() for act in found.operations] == [CREATED, CREATED, CREATED + 60]
