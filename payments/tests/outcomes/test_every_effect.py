"""Every effect in every state that a payment may be in: none is impossible, and each ends right."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pytest

from payments import public_ids
from payments.models import Merchant, Operation, PaymentIntent, Refund
from payments.services.outcomes.change import Change
from payments.services.outcomes.effect_table import EFFECTS, apply_effect
from payments.services.outcomes.payment_state import status_by_amounts, status_under_way
from payments.services.outcomes.result_checks import agrees, why_amounts_do_not_fit
from payments.states import OPERATION_OPEN, IntentStatus, OperationStatus
from psp_adapters.contract.operations import OperationKind as K
from psp_adapters.contract.operations import Outcome, PspResult

pytestmark = pytest.mark.usefixtures("database")

ASKED_MINOR: Final = 1_000
AMOUNTS: Final = [
    (held, captured, refunded)
    for held, captured in ((0, 0), (1_000, 0), (600, 400), (0, 400), (0, 1_000))
    for refunded in (0, 100, captured)
    if refunded <= captured
]
"""What is held, captured and refunded of the payment, in minor units."""
CHARGES: Final = sorted(OPERATION_OPEN | {"SUCCEEDED", "DECLINED", "REVERSED"})
OPEN: Final = sorted(OPERATION_OPEN)
NEVER: Final = {Outcome.NOT_SENT: ("PENDING", "REQUIRES_ACTION")}
"""From which statuses PostgreSQL and recovery never come to an outcome: the PSP has it already."""


@dataclass(frozen=True, slots=True)
class State:
    """A payment with one open operation."""

    operation_status: str
    charge_status: str
    held_minor: int
    captured_minor: int
    refunded_minor: int
    is_processing: bool
    """Another change is open as well (beside a refund)."""


def states_of(kind: K) -> Iterator[State]:
    """Every state in which an operation of this kind may be open."""
    for status, charge, amounts, other in itertools.product(OPEN, CHARGES, AMOUNTS, (False, True)):
        is_charge = kind is K.AUTHORIZE
        if is_charge and (charge != status or amounts != (0, 0, 0)):
            continue
        if not is_charge and status == "REQUIRES_ACTION":
            continue
        if charge != "SUCCEEDED" and amounts != (0, 0, 0):
            continue
        if kind in (K.CAPTURE, K.INCREMENT) and charge in OPERATION_OPEN:
            continue
        if kind is K.VOID and charge in ("SENDING", "UNKNOWN"):
            continue  # A command waits until the charge is answered.
        if kind is K.REFUND and charge in OPERATION_OPEN:
            continue
        if other and kind is not K.REFUND:
            continue
        yield State(status, charge, *amounts, is_processing=other)


def change_of(kind: K, outcome: Outcome, state: State, *, final: bool) -> Change:
    charge = Operation(
        id=public_ids.new_id(),
        kind=K.AUTHORIZE,
        status=state.charge_status,
        amount_minor=ASKED_MINOR,
        currency="USD",
        capture_now=final,
        psp_payment_id="pay_1",
    )
    operation = charge
    if kind is not K.AUTHORIZE:
        amount_minor = {K.CAPTURE: state.held_minor, K.REFUND: 50}.get(kind, 0)
        operation = Operation(
            id=public_ids.new_id(),
            kind=kind,
            status=state.operation_status,
            amount_minor=amount_minor or 50,
            currency="USD",
            final=final,
            charge_id=charge.id,
        )
        if kind is K.VOID:
            operation.amount_minor = state.held_minor
    intent = PaymentIntent(
        id=public_ids.new_id(),
        status=status_before(charge, operation, state),
        amount_minor=ASKED_MINOR,
        amount_authorized_minor=ASKED_MINOR if state.charge_status == "SUCCEEDED" else 0,
        amount_held_minor=state.held_minor,
        amount_captured_minor=state.captured_minor,
        amount_refunded_minor=state.refunded_minor,
        amount_refund_pending_minor=operation.amount_minor if kind is K.REFUND else 0,
        currency="USD",
        latest_charge_id=charge.id,
    )
    return Change(
        merchant=Merchant(id=public_ids.new_id(), platform_fee_basis_points=100),
        psp_account_code="sandbox",
        intent=intent,
        operation=operation,
        charge=charge,
        refund=Refund(intent=intent, operation=operation) if kind is K.REFUND else None,
        result=PspResult(outcome=outcome, psp_id="sop_1", code="declined"),
        answered=True,
    )


def status_before(charge: Operation, operation: Operation, state: State) -> IntentStatus:
    if state.is_processing:
        return IntentStatus.PROCESSING
    under_way = status_under_way({charge, operation} - {None})
    return under_way or by_amounts(state) or IntentStatus.FAILED


def by_amounts(state: State) -> IntentStatus | None:
    return status_by_amounts(
        held_minor=state.held_minor,
        captured_minor=state.captured_minor,
        refunded_minor=state.refunded_minor,
    )


def status_after(change: Change, state: State) -> IntentStatus | None:
    """The status that the rows imply; None if nothing is held or captured."""
    if state.is_processing:
        return IntentStatus.PROCESSING
    intent = change.intent
    return status_under_way({change.charge, change.operation}) or status_by_amounts(
        held_minor=intent.amount_held_minor,
        captured_minor=intent.amount_captured_minor,
        refunded_minor=intent.amount_refunded_minor,
    )


@pytest.mark.parametrize(("kind", "outcome"), EFFECTS)
def test_an_effect_ends_in_the_status_that_the_amounts_imply(kind: K, outcome: Outcome) -> None:
    walked = 0
    for state in states_of(kind):
        for final in (True, False):
            change = change_of(kind, outcome, state, final=final)
            operation, charge, intent = change.operation, change.charge, change.intent
            if state.operation_status in NEVER.get(outcome, ()):
                continue
            if agrees(operation, outcome):
                continue  # Says nothing new.
            if outcome is Outcome.UNKNOWN and operation.status != OperationStatus.SENDING:
                continue
            if why_amounts_do_not_fit(operation, charge, intent, change.result):
                continue  # The snapshot of the payment decides.
            apply_effect(change)
            walked += 1
            expected = status_after(change, state)
            about = f"{state}, final {final}: {intent.status}"
            if expected is not None:
                assert intent.status == expected, about
            else:
                assert intent.status in ("FAILED", "CANCELED", "INITIATED"), about
            assert intent.amount_held_minor >= 0, about
            assert intent.amount_refund_pending_minor >= 0, about
    assert walked
