"""Applies external operations: each becomes a row that is never sent, with its effects."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final

from ledger import posting_rules as rules
from ledger.database.statements import Batch
from ledger.money import Money
from payments import public_ids
from payments.clock import now_utc
from payments.models import Operation
from payments.models.operation import EXTERNAL_KEY_PREFIX
from payments.public_ids import created_at_of
from payments.selectors.disputes import charged_back_of
from payments.services.cases.opening import case_about_operation, case_of_disputed_refund
from payments.services.outcomes.change import Change
from payments.services.outcomes.effects.intent_status import (
    become_captured,
    hold_is_over,
    show_refunded,
)
from payments.services.outcomes.effects.refunds import new_refund
from payments.states import CaseKind, IntentStatus, OperationStatus
from psp_adapters.contract.operations import OperationKind, Outcome
from psp_adapters.contract.payments import PspOperation, PspOperationKind

ACTOR: Final = "psp:dashboard"
_KEY_LENGTH_MAX: Final = 64


def insert_operation(change: Change, act: PspOperation) -> None:
    """Insert the external operation (and its refund), and make the change about them.

    Raises IntegrityError for the second one with the same PSP id.
    """
    operation = _operation_of(change, act)
    batch = Batch().insert(operation)
    change.operation = operation
    if act.kind is PspOperationKind.REFUND:
        change.refund = new_refund(operation, charge_id=change.charge.id)
        batch.insert(change.refund)
    batch.execute()


def apply_external_operation(change: Change, act: PspOperation) -> None:
    """Apply an external operation, in any status of the payment.

    What it moved beyond what was held or left is kept as excess, with a case.
    """
    intent, operation = change.intent, change.operation
    before_minor = intent.amount_excess_minor
    operation.excess_minor = _beyond(change, act).minor
    _APPLY[act.kind](change, act)
    intent.amount_excess_minor += operation.excess_minor
    change.update_over_refund()
    if operation.status != OperationStatus.PENDING:
        operation.closed_at = now_utc()
        operation.next_check_at = None
    if intent.amount_excess_minor > before_minor:
        excess = Money(intent.amount_excess_minor - before_minor, intent.currency)
        _open_case(
            change,
            f"{operation.kind} of {operation.amount} in the provider's dashboard, {excess} more "
            "than there was",
            amount=excess,
        )


def open_case_about_reference(change: Change, act: PspOperation) -> None:
    """Open a case about an operation under a reference of ours that we do not know."""
    _open_case(
        change,
        f"the provider shows {act.kind} of {act.amount} under our reference {act.reference}, "
        "which we do not know",
        amount=act.amount,
    )


def external_operation_key(psp_id: str) -> str:
    """The key of an external operation; its prefix tells it apart from keys that we send."""
    key = EXTERNAL_KEY_PREFIX + psp_id
    if len(key) <= _KEY_LENGTH_MAX:
        return key
    digest = hashlib.sha256(psp_id.encode()).hexdigest()
    return (EXTERNAL_KEY_PREFIX + digest)[:_KEY_LENGTH_MAX]


def _operation_of(change: Change, act: PspOperation) -> Operation:
    intent, charge = change.intent, change.charge
    identifier = public_ids.new_id()
    created_at = created_at_of(identifier)
    return Operation(
        id=identifier,
        merchant_id=intent.merchant_id,
        livemode=intent.livemode,
        intent_id=intent.id,
        psp_account_id=charge.psp_account_id,
        kind=OperationKind(act.kind.value).value,
        amount_minor=act.amount.minor,
        currency=act.amount.currency,
        psp_key=external_operation_key(act.psp_id),
        psp_id=act.psp_id,
        psp_payment_id=charge.psp_payment_id,
        charge_id=charge.id,
        order_id=intent.order_id,
        final=act.final,
        status_before=intent.status,
        detail=f"began at the provider at {act.at:%Y-%m-%d %H:%M:%S} UTC",
        actor=ACTOR,
        lease_until=created_at,
        next_check_at=created_at,
        created_at=created_at,
    )


def _beyond(change: Change, act: PspOperation) -> Money:
    """How much more a capture took than was held."""
    intent, zero = change.intent, Money.zero(act.amount.currency)
    if act.kind is not PspOperationKind.CAPTURE:
        return zero
    left_minor = intent.amount_authorized_minor - intent.amount_captured_minor
    return max(zero, act.amount - Money(left_minor, intent.currency))


def _excess_of(change: Change) -> Money:
    return Money(change.operation.excess_minor, change.operation.currency)


def _increment(change: Change, act: PspOperation) -> None:
    change.operation.succeed()
    change.post(rules.authorization_incremented, act.amount)
    if change.intent.status == IntentStatus.AUTHORIZED:
        change.intent.amount_minor += act.amount.minor
        change.emit("payment_intent.amount_capturable_updated", "intent")
    else:  # It came before the hold ended, and was released with it.
        change.post(rules.released, act.amount)
        change.emit("charge.updated", "charge")


def _capture(change: Change, act: PspOperation) -> None:
    operation, excess = change.operation, _excess_of(change)
    operation.succeed()
    if excess:
        change.post(rules.authorization_incremented, excess)
    if change.intent.status != IntentStatus.AUTHORIZED:
        _capture_released_hold(change, act, excess)
        return
    change.post_capture(act.amount)
    change.emit("charge.captured", "charge")
    left = change.intent.capturable
    if act.final or not left:
        change.post(rules.released, left)
        become_captured(change)
        change.emit("payment_intent.succeeded", "intent")
    else:
        change.emit("payment_intent.amount_capturable_updated", "intent")


def _capture_released_hold(change: Change, act: PspOperation, excess: Money) -> None:
    """Book a capture of a hold that is over by our books: reopen it first."""
    intent, released = change.intent, act.amount - excess
    if released:
        change.post(rules.hold_reopened, released)
    change.post_capture(act.amount)
    change.emit("charge.captured", "charge")
    if intent.is_captured:
        if intent.amount_refunded_minor:
            show_refunded(change)
        return
    _open_case(change, f"{act.amount} captured of a payment that was canceled", act.amount)
    become_captured(change)


def _void(change: Change, act: PspOperation) -> None:
    held = change.intent.capturable
    change.operation.succeed()
    if change.intent.status != IntentStatus.AUTHORIZED:
        _open_case(change, f"the provider released {act.amount}, our books held none", act.amount)
        return
    if act.amount != held:
        _open_case(change, f"the provider released {act.amount}, our books held {held}", held)
    change.post(rules.voided, held)
    captured_before = bool(change.intent.amount_captured_minor)
    change.emit("charge.updated", "charge")
    hold_is_over(change, reason="")
    if not captured_before:
        change.emit("payment_intent.canceled", "intent")


def _refund(change: Change, act: PspOperation) -> None:
    intent, operation, refund = change.intent, change.operation, change.refund
    assert refund is not None, "a refund is written down with its row"
    change.post(rules.refund_requested, act.amount)
    if act.outcome is Outcome.PENDING:
        operation.await_psp()
        intent.amount_refund_pending_minor += act.amount.minor
        change.emit("refund.created", "refund")
        return
    operation.succeed()
    refund.succeed()
    intent.amount_refunded_minor += act.amount.minor
    if intent.is_captured:
        show_refunded(change)
    if change.charge.status == OperationStatus.REVERSED:
        summary = f"{act.amount} refunded of a charge that the provider has reversed"
        _open_case(change, summary, act.amount)
    charged_back = charged_back_of(change.charge)
    if charged_back.amount:
        summary = f"{act.amount} was refunded at the provider, and a bank has charged back."
        change.cases.append(case_of_disputed_refund(intent, charged_back, summary))
    change.emit("refund.created", "refund")
    change.emit("charge.refunded", "charge")


def _open_case(change: Change, summary: str, amount: Money) -> None:
    change.cases.append(
        case_about_operation(CaseKind.EXTERNAL_OPERATION, change.operation, summary, amount=amount)
    )


_APPLY: Final[dict[PspOperationKind, Callable[[Change, PspOperation], None]]] = {
    PspOperationKind.INCREMENT: _increment,
    PspOperationKind.CAPTURE: _capture,
    PspOperationKind.VOID: _void,
    PspOperationKind.REFUND: _refund,
}
