"""A payment is read from the set of its notifications: neither their order nor repeats matter."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.money import Money
from psp_adapters.adyen import vocabulary
from psp_adapters.adyen.facts import Fact, event_id, fact_of, payment_of, result_of, total_of
from psp_adapters.contract.operations import LookUp, OperationKind, Outcome
from psp_adapters.contract.payments import PspOperationKind, PspPayment, PspPaymentStatus
from psp_adapters.contract.stored_notifications import StoredNotification
from psp_adapters.tests.support.adyen_face import new_id

K, S = PspOperationKind, PspPaymentStatus
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PAYMENT, REFERENCE = "PAYMENT000000001", "op_charge"


def fact(event: str, second: int, minor: int = 1000, **values: Any) -> Fact:
    given = {
        "success": True,
        "psp_id": PAYMENT if event == vocabulary.AUTHORIZED else f"OPERATION{second:07d}",
        "payment_id": PAYMENT,
        "reference": REFERENCE,
        "reason": "",
        **values,
    }
    at = NOW + timedelta(seconds=second)
    return Fact(event=event, at=at, amount=Money(minor, "EUR"), **given)


AUTHORIZED = fact(vocabulary.AUTHORIZED, 0)
CAPTURED = fact("CAPTURE", 1, 700, reference="op_capture")
REFUNDED = fact("REFUND", 2, 300, psp_id="R")


def read(*facts: Fact, sale: bool = False) -> PspPayment:
    payment = payment_of(facts, psp_payment_id=PAYMENT, was_sale=lambda _: sale)
    assert payment is not None
    return payment


def shape(payment: PspPayment) -> list[tuple[str, int, str]]:
    return [(o.kind.value, o.amount.minor, o.outcome.value) for o in payment.operations]


@pytest.mark.parametrize(
    ("facts", "status", "held", "operations"),
    [
        ([], S.HELD, 1000, []),
        ([CAPTURED], S.CAPTURED, 0, [("capture", 700, "succeeded")]),
        (
            [fact("CAPTURE", 1, 700, success=False)],
            S.HELD,
            1000,
            [("capture", 700, "declined")],
        ),
        (
            [CAPTURED, fact("CAPTURE_FAILED", 2, 700, psp_id=CAPTURED.psp_id)],
            S.RELEASED,
            0,
            [("capture", 700, "declined")],
        ),
        (
            [CAPTURED, fact("REFUND", 2, 300), fact("REFUND", 3, 200, success=False)],
            S.CAPTURED,
            0,
            [
                ("capture", 700, "succeeded"),
                ("refund", 300, "succeeded"),
                ("refund", 200, "declined"),
            ],
        ),
        (
            [
                CAPTURED,
                fact("REFUND", 2, 300, psp_id="R"),
                fact("REFUND_FAILED", 3, 300, psp_id="R"),
            ],
            S.CAPTURED,
            0,
            [("capture", 700, "succeeded"), ("refund", 300, "declined")],
        ),
        ([fact("CANCELLATION", 1, 5)], S.RELEASED, 0, [("void", 1000, "succeeded")]),
        ([fact("TECHNICAL_CANCEL", 1)], S.RELEASED, 0, [("void", 1000, "succeeded")]),
        ([fact("CANCEL_OR_REFUND", 1)], S.RELEASED, 0, [("void", 1000, "succeeded")]),
        (
            [CAPTURED, fact("CANCEL_OR_REFUND", 2, 700)],
            S.CAPTURED,
            0,
            [("capture", 700, "succeeded"), ("refund", 700, "succeeded")],
        ),
        ([fact("EXPIRE", 1)], S.EXPIRED, 0, [("expire", 1000, "succeeded")]),
        ([fact("EXPIRE", 1, success=False)], S.HELD, 1000, []),
        (
            [fact("AUTHORISATION_ADJUSTMENT", 1, 1500), fact("AUTHORISATION_ADJUSTMENT", 2, 1200)],
            S.HELD,
            1200,
            [("increment", 500, "succeeded"), ("void", 300, "succeeded")],
        ),
    ],
)
def test_what_is_held_follows_from_the_facts(
    facts: list[Fact], status: S, held: int, operations: list[tuple[str, int, str]]
) -> None:
    payment = read(AUTHORIZED, *facts)
    assert (payment.status, payment.held) == (status, Money(held, "EUR"))
    assert shape(payment) == [("authorize", 1000, "succeeded"), *operations]


def test_a_sale_is_captured_and_is_reversed_by_a_capture_that_failed() -> None:
    taken = fact("CAPTURE", 1, psp_id="C")
    sold = read(AUTHORIZED, taken, sale=True)
    assert (sold.status, shape(sold)) == (S.CAPTURED, [("authorize", 1000, "succeeded")])
    failed = fact("CAPTURE_FAILED", 2, psp_id="C")
    returned = read(AUTHORIZED, taken, failed, sale=True)
    assert (returned.status, shape(returned)) == (S.DECLINED, [("authorize", 1000, "declined")])
    again = fact("CAPTURE", 3, psp_id="C")
    assert read(AUTHORIZED, taken, failed, again, sale=True).status is S.CAPTURED


def test_a_refusal_has_its_code_and_a_later_success_counts() -> None:
    refused = fact(vocabulary.AUTHORIZED, 0, success=False, reason="Not enough balance")
    [operation] = read(refused).operations
    assert (operation.outcome, operation.decline_code) == (Outcome.DECLINED, "insufficient_funds")
    assert read(refused, fact(vocabulary.AUTHORIZED, 9)).status is S.HELD
    assert read(fact("OFFER_CLOSED", 5, psp_id=PAYMENT)).status is S.DECLINED


def test_without_the_authorization_nothing_is_said() -> None:
    assert payment_of([CAPTURED], psp_payment_id=PAYMENT, was_sale=lambda _: False) is None
    query = LookUp(kind=OperationKind.CAPTURE, reference="op_capture", psp_id=CAPTURED.psp_id)
    assert result_of([CAPTURED], query, was_sale=lambda _: False) is None


def test_two_payments_under_one_reference_are_both_shown_the_successful_one_first() -> None:
    refused = fact(
        vocabulary.AUTHORIZED, 0, success=False, psp_id="A", payment_id="A", reason="Refused"
    )
    first = fact(vocabulary.AUTHORIZED, 1, psp_id="B", payment_id="B")
    second = fact(vocabulary.AUTHORIZED, 2, psp_id="C", payment_id="C")
    query = LookUp(kind=OperationKind.AUTHORIZE, reference=REFERENCE)
    found = result_of([second, refused, first], query, was_sale=lambda _: False)
    assert found is not None
    assert (found.psp_id, found.outcome) == ("B", Outcome.SUCCEEDED)
    assert [each.psp_id for each in found.also_found] == ["C"]


_LATER = st.builds(
    fact,
    st.sampled_from(sorted(vocabulary.PAYMENT_EVENTS - {vocabulary.AUTHORIZED})),
    st.integers(min_value=0, max_value=4),
    st.sampled_from([200, 700, 1000, 1500]),
    success=st.booleans(),
    psp_id=st.sampled_from(["A", "B", "C", PAYMENT]),
    reference=st.sampled_from([REFERENCE, "op_other", ""]),
)
_BEGUN = st.builds(fact, st.just(vocabulary.AUTHORIZED), st.integers(0, 4), success=st.booleans())


@settings(max_examples=200, deadline=None)
@given(
    begun=st.lists(_BEGUN, min_size=1, max_size=2),
    later=st.lists(_LATER, max_size=6),
    sale=st.booleans(),
    seed=st.integers(),
)
def test_every_order_with_any_repeats_gives_the_same_payment(
    begun: list[Fact], later: list[Fact], sale: bool, seed: int
) -> None:
    facts = [*begun, *later]
    expected = read(*facts, sale=sale)
    chance = random.Random(seed)
    mixed = facts + chance.choices(facts, k=3)
    chance.shuffle(mixed)
    assert read(*mixed, sale=sale) == expected
    assert expected.held.minor >= 0
    if expected.status is S.HELD and not any(
        each.kind is K.CAPTURE for each in expected.operations
    ):
        assert total_of(expected) == expected.held


def test_ids_are_read_beside_the_body_in_which_a_long_number_is_masked() -> None:
    at, psp_id = NOW, new_id()
    stored = StoredNotification(
        event_id=event_id(event="CAPTURE", psp_id=psp_id, success=True, at=at),
        type="CAPTURE",
        psp_payment_id="8115000000000007",
        reference="op_capture",
        occurred_at=at,
        body=b'{"amount":{"currency":"EUR","value":700},"originalReference":"************0007"}',
    )
    found = fact_of(stored)
    assert found is not None
    assert (found.psp_id, found.payment_id) == (psp_id, "8115000000000007")
    assert (found.amount, found.success) == (Money(700, "EUR"), True)
