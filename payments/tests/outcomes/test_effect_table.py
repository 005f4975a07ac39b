"""Effects of an outcome on rows in memory, for results that the sandbox PSP cannot stage."""

from __future__ import annotations

import pytest

from payments import public_ids
from payments.models import Merchant, Operation, PaymentIntent
from payments.services.outcomes.change import Change
from payments.services.outcomes.effect_table import apply_effect
from payments.states import IntentStatus, OperationStatus
from psp_adapters.contract.operations import OperationKind, Outcome, PspResult


def declined_void(intent_status: IntentStatus, charge_status: OperationStatus) -> Change:
    """A void that the PSP declines, on a payment of 10.00 USD."""
    held_minor = 1_000 if charge_status is OperationStatus.SUCCEEDED else 0
    intent = PaymentIntent(
        id=public_ids.new_id(),
        status=intent_status,
        amount_minor=1_000,
        amount_authorized_minor=held_minor,
        amount_held_minor=held_minor,
        currency="USD",
    )
    charge = Operation(
        kind=OperationKind.AUTHORIZE, status=charge_status, amount_minor=1_000, currency="USD"
    )
    void = Operation(
        kind=OperationKind.VOID,
        status=OperationStatus.UNKNOWN,
        status_before=IntentStatus.REQUIRES_ACTION,
        amount_minor=0,
        currency="USD",
    )
    return Change(
        merchant=Merchant(),
        psp_account_code="sandbox",
        intent=intent,
        operation=void,
        charge=charge,
        refund=None,
        result=PspResult(outcome=Outcome.DECLINED),
        answered=True,
    )


@pytest.mark.parametrize(
    ("intent_status", "charge_status"),
    [
        (IntentStatus.AUTHORIZED, OperationStatus.SUCCEEDED),
        (IntentStatus.CAPTURED, OperationStatus.SUCCEEDED),
        (IntentStatus.FAILED, OperationStatus.DECLINED),
    ],
)
def test_a_declined_void_keeps_the_status_that_the_intent_has_from_its_charge(
    intent_status: IntentStatus, charge_status: OperationStatus
) -> None:
    change = declined_void(intent_status, charge_status)
    apply_effect(change)
    assert (change.intent.status, change.operation.status) == (intent_status, "DECLINED")
    assert (change.postings, change.emitted) == ([], [])


def test_a_declined_void_leaves_the_payment_authorized() -> None:
    change = declined_void(IntentStatus.PROCESSING, OperationStatus.SUCCEEDED)
    apply_effect(change)
    assert change.intent.status == "AUTHORIZED"
    assert [name for name, _ in change.emitted] == ["payment_intent.amount_capturable_updated"]
