"""From an operation to its request, and from the PSP's answer to a result."""

from __future__ import annotations

import pytest

from ledger.money import Money
from payments.services.psp_gateway import references, sending
from payments.tests.support.dashboard import act, external_operations, sync
from payments.tests.support.shop import Shop, body_of
from psp_adapters.contract.operations import OperationKind, Outcome, PspResult


def test_the_same_operation_always_makes_the_same_request(shop: Shop) -> None:
    [operation] = shop.operations(body_of(shop.create(manual=True))["id"])
    request = sending.request_of(operation)
    assert request == sending.request_of(operation)
    assert request.reference == request.psp_key == references.reference_of(operation.id)
    assert (request.kind, request.amount) == (OperationKind.AUTHORIZE, Money(10_000, "USD"))


def test_a_look_up_says_since_when_the_psp_can_have_the_operation(shop: Shop) -> None:
    intent_id = body_of(shop.create(manual=True))["id"]
    [charge] = shop.operations(intent_id)
    assert sending.lookup_of(charge).sent_at == charge.created_at
    act(shop, "capture", 4_000)
    sync(shop, intent_id)
    [external] = external_operations(intent_id)
    assert sending.lookup_of(external).sent_at is None


@pytest.mark.parametrize("amount", [Money(9_999, "USD"), Money(10_000, "EUR"), Money(0, "USD")])
def test_an_answer_about_another_amount_is_unknown(shop: Shop, amount: Money) -> None:
    [operation] = shop.operations(body_of(shop.create(manual=True))["id"])
    result = PspResult(outcome=Outcome.SUCCEEDED, psp_id="p1", amount=amount)
    outcome_unknown = sending.unknown_if_amount_differs(operation, result)
    assert outcome_unknown.outcome is Outcome.UNKNOWN
    assert "100.00 USD" in outcome_unknown.detail


def test_an_answer_with_the_same_or_no_amount_is_taken_as_it_is(shop: Shop) -> None:
    [operation] = shop.operations(body_of(shop.create(manual=True))["id"])
    for amount in (None, Money(10_000, "USD")):
        result = PspResult(outcome=Outcome.SUCCEEDED, amount=amount)
        assert sending.unknown_if_amount_differs(operation, result) is result
