"""Maps each kind of operation and each outcome to the function that applies it.

Effects change locked rows in memory, and collect postings, events and cases in a Change.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from payments.services.outcomes.change import Change
from payments.services.outcomes.effects import charges, duplicate_charges, holds, refunds
from payments.states import OperationStatus
from psp_adapters.contract.operations import OperationKind as K
from psp_adapters.contract.operations import Outcome

Effect = Callable[[Change], None]


def _outcome_unknown(change: Change) -> None:
    if change.operation.status == OperationStatus.UNKNOWN:
        return
    change.operation.mark_unknown()
    if change.operation.kind != K.REFUND and change.operation.replaces_id is None:
        change.emit_status("payment_intent.processing")


EFFECTS: Final[dict[tuple[K, Outcome], Effect]] = {
    (K.AUTHORIZE, Outcome.SUCCEEDED): charges.charge_succeeded,
    (K.AUTHORIZE, Outcome.DECLINED): charges.charge_declined,
    (K.AUTHORIZE, Outcome.REQUIRES_ACTION): charges.charge_requires_action,
    (K.AUTHORIZE, Outcome.PENDING): charges.charge_pending,
    (K.AUTHORIZE, Outcome.NOT_SENT): charges.charge_not_sent,
    (K.CAPTURE, Outcome.SUCCEEDED): holds.capture_succeeded,
    (K.CAPTURE, Outcome.DECLINED): holds.change_declined,
    (K.CAPTURE, Outcome.PENDING): holds.change_pending,
    (K.CAPTURE, Outcome.NOT_SENT): holds.change_not_sent,
    (K.INCREMENT, Outcome.SUCCEEDED): holds.increment_succeeded,
    (K.INCREMENT, Outcome.DECLINED): holds.change_declined,
    (K.INCREMENT, Outcome.PENDING): holds.change_pending,
    (K.INCREMENT, Outcome.NOT_SENT): holds.change_not_sent,
    (K.VOID, Outcome.SUCCEEDED): holds.void_succeeded,
    (K.VOID, Outcome.DECLINED): holds.change_declined,
    (K.VOID, Outcome.PENDING): holds.change_pending,
    (K.VOID, Outcome.NOT_SENT): holds.change_not_sent,
    (K.REFUND, Outcome.SUCCEEDED): refunds.refund_succeeded,
    (K.REFUND, Outcome.DECLINED): refunds.refund_declined,
    (K.REFUND, Outcome.PENDING): refunds.refund_pending,
    (K.REFUND, Outcome.NOT_SENT): refunds.refund_not_sent,
    **{(kind, Outcome.UNKNOWN): _outcome_unknown for kind in K},
}


_EXCESS: Final[dict[tuple[K, Outcome], Effect]] = {
    (K.VOID, Outcome.SUCCEEDED): duplicate_charges.void_succeeded,
    (K.VOID, Outcome.PENDING): duplicate_charges.void_pending,
    (K.REFUND, Outcome.SUCCEEDED): duplicate_charges.refund_succeeded,
    (K.REFUND, Outcome.PENDING): duplicate_charges.refund_pending,
    **{(kind, Outcome.DECLINED): duplicate_charges.declined for kind in (K.VOID, K.REFUND)},
    **{(kind, Outcome.NOT_SENT): duplicate_charges.not_sent for kind in (K.VOID, K.REFUND)},
    **{(kind, Outcome.UNKNOWN): duplicate_charges.outcome_unknown for kind in (K.VOID, K.REFUND)},
}
"""The same for the void or refund of a duplicate charge."""


def apply_effect(change: Change) -> None:
    """Apply the outcome in memory; raises LookupError for an outcome this kind cannot have."""
    kind = K(change.operation.kind)
    table = _EXCESS if change.operation.gives_excess_back else EFFECTS
    effect = table.get((kind, change.result.outcome))
    if effect is None:
        raise LookupError(f"a {kind} has no outcome {change.result.outcome}")
    _note_references(change)
    effect(change)
    if change.intent.amount_over_refunded_minor:
        change.update_over_refund()  # Only external and late refunds exceed the captured amount.


def _note_references(change: Change) -> None:
    """Keep the PSP's ids and its detail of the result."""
    operation, result = change.operation, change.result
    operation.psp_id = result.psp_id or operation.psp_id
    operation.psp_payment_id = result.psp_payment_id or operation.psp_payment_id
    operation.detail = result.detail[:500] or operation.detail
    holds = operation.is_charge and operation.status != OperationStatus.EXCESS
    if holds and operation.psp_payment_id and operation.id == change.intent.latest_charge_id:
        change.intent.psp_reference = operation.psp_payment_id
