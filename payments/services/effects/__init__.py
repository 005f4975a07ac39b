"""What each outcome of each kind of operation causes: transitions, amounts, postings, facts.

One function per kind and outcome, and the table that names them all. Only services.outcomes calls
these, with every row locked. What may not live here: SQL, PSPs, rendering.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from payments.services.changes import Change
from payments.services.effects import charges, held_payments, refunds
from payments.services.effects.standing import note_psp_words
from payments.states import OperationStatus
from psp_adapters.contract import OperationKind as K
from psp_adapters.contract import Outcome

Effect = Callable[[Change], None]


def _doubt(change: Change) -> None:
    if change.operation.status == OperationStatus.UNKNOWN:
        return
    change.operation.doubt()
    if change.operation.kind != K.REFUND:
        change.tell("payment_intent.processing", "intent")


EFFECTS: Final[dict[tuple[K, Outcome], Effect]] = {
    (K.AUTHORIZE, Outcome.SUCCEEDED): charges.charge_succeeded,
    (K.AUTHORIZE, Outcome.DECLINED): charges.charge_declined,
    (K.AUTHORIZE, Outcome.REQUIRES_ACTION): charges.charge_requires_action,
    (K.AUTHORIZE, Outcome.PENDING): charges.charge_pending,
    (K.AUTHORIZE, Outcome.NOT_SENT): charges.charge_not_sent,
    (K.CAPTURE, Outcome.SUCCEEDED): held_payments.capture_succeeded,
    (K.CAPTURE, Outcome.DECLINED): held_payments.change_declined,
    (K.CAPTURE, Outcome.PENDING): held_payments.change_pending,
    (K.CAPTURE, Outcome.NOT_SENT): held_payments.change_not_sent,
    (K.INCREMENT, Outcome.SUCCEEDED): held_payments.increment_succeeded,
    (K.INCREMENT, Outcome.DECLINED): held_payments.change_declined,
    (K.INCREMENT, Outcome.PENDING): held_payments.change_pending,
    (K.INCREMENT, Outcome.NOT_SENT): held_payments.change_not_sent,
    (K.VOID, Outcome.SUCCEEDED): held_payments.void_succeeded,
    (K.VOID, Outcome.DECLINED): held_payments.change_declined,
    (K.VOID, Outcome.PENDING): held_payments.change_pending,
    (K.VOID, Outcome.NOT_SENT): held_payments.change_not_sent,
    (K.REFUND, Outcome.SUCCEEDED): refunds.refund_succeeded,
    (K.REFUND, Outcome.DECLINED): refunds.refund_declined,
    (K.REFUND, Outcome.PENDING): refunds.refund_pending,
    (K.REFUND, Outcome.NOT_SENT): refunds.refund_not_sent,
    **{(kind, Outcome.UNKNOWN): _doubt for kind in K},
}


def apply_effect(change: Change) -> None:
    """Make the change in memory; raises LookupError for an outcome this kind cannot have."""
    kind = K(change.operation.kind)
    effect = EFFECTS.get((kind, change.result.outcome))
    if effect is None:
        raise LookupError(f"a {kind} has no outcome {change.result.outcome}")
    note_psp_words(change)
    effect(change)
