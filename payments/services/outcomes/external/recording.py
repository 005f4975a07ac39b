"""Records external operations: expiries, and what was done in the PSP's dashboard.

State, postings and events are written in one transaction. Outcomes of our own operations go through
`outcomes.recording`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from django.db import transaction

from ledger.database.statements import Batch
from ledger.money import Money
from ledger.selectors import bookings_of
from payments.models import Case, Merchant, Operation, PaymentIntent
from payments.selectors.disputes import charged_back_of
from payments.services import callers
from payments.services.callers.caller import Caller
from payments.services.cases.opening import case_about_operation, open_case
from payments.services.outcomes.change import OPERATION_FIELDS, Change, put_change
from payments.services.outcomes.duplicate_charges import excess_left
from payments.services.outcomes.effects.expiry import expire_hold
from payments.services.outcomes.external.duplicate_charges import (
    apply_to_duplicate_charge,
    increments_left,
    objection_to,
    release_increments,
)
from payments.services.outcomes.external.effects import (
    ACTOR,
    apply_external_operation,
    insert_operation,
    open_case_about_reference,
)
from payments.services.outcomes.prior_state import source_of
from payments.services.psp_gateway import references
from payments.states import (
    OPERATION_OPEN,
    OPERATION_OUTCOME_UNKNOWN,
    CaseKind,
    IntentStatus,
    OperationStatus,
)
from psp_adapters.contract.operations import OperationKind, Outcome, PspResult
from psp_adapters.contract.payments import PspOperation, PspOperationKind, PspPayment

_CHANGES: Final = (OperationKind.CAPTURE, OperationKind.INCREMENT, OperationKind.VOID)
EXPIRY_ACTOR: Final = "psp:expiry"
_MAY_HOLD: Final = frozenset(
    {IntentStatus.AUTHORIZED, IntentStatus.PROCESSING, IntentStatus.REQUIRES_ACTION}
)
_BEGUN_AND_ENDED: Final = frozenset(
    {OperationStatus.SUCCEEDED, OperationStatus.EXCESS, OperationStatus.REVERSED}
)
"""Only for charges in these states can an external operation be told apart from our own."""
_ENDS_HOLD: Final = (PspOperationKind.VOID, PspOperationKind.EXPIRE)
_HAPPENED: Final = PspResult(outcome=Outcome.SUCCEEDED)


class OperationStillOpen(Exception):
    """An operation of ours on the payment is open; its outcome must be recorded first."""


class CannotBeBooked(Exception):
    """What the PSP shows cannot be booked; carries the case for an operator."""

    def __init__(self, case: Case) -> None:
        super().__init__(case.summary)
        self.case = case


@dataclass(slots=True)
class _Payment:
    """The rows of one payment, locked or read, that a recording needs."""

    merchant: Merchant
    intent: PaymentIntent
    charge: Operation
    operations: list[Operation]

    @property
    def is_duplicate(self) -> bool:
        """True for a duplicate charge, also after the PSP reversed it."""
        charge = self.charge
        if charge.status != OperationStatus.REVERSED:
            return bool(charge.status == OperationStatus.EXCESS)
        return any(
            booking.posting.rule.startswith("excess_") and booking.reversed_by == source_of(charge)
            for booking in bookings_of(payment_id=self.intent.id, source_id=charge.id)
        )

    @property
    def may_be_held(self) -> bool:
        """True if, by our books, something of the charge may still be held."""
        if self.charge.status == OperationStatus.EXCESS:
            return excess_left(self.charge, self.operations).held_minor > 0
        if self.charge.status != OperationStatus.SUCCEEDED:
            return False
        late_increments = increments_left(self.charge, self.operations)
        return self.intent.status in _MAY_HOLD or bool(late_increments)

    def change(self) -> Change:
        return Change.of(
            merchant=self.merchant,
            intent=self.intent,
            operation=self.charge,
            charge=self.charge,
            refund=None,
            result=_HAPPENED,
            answered=True,
        )


def record_external_operations(charge_id: UUID, seen: PspPayment) -> int:
    """Record the external operations on a charge's payment; returns how many were new.

    What is known already changes nothing, in any order and however often it is seen. Raises
    OperationStillOpen, having written nothing, if an operation of ours must be finished first.
    Raises CannotBeBooked, having recorded everything before the one that cannot be booked.
    """
    odd: CannotBeBooked | None = None
    with transaction.atomic(durable=True):
        payment = _lock(charge_id)
        news = _news(payment, seen)
        _note_end_of_hold(payment, seen)
        if not news:
            return 0
        _require_own_recorded(payment, news)
        for act in news:
            odd = _objection(payment, act, seen)
            if odd is not None:
                break
            _record(payment, act)
    if odd is not None:
        raise odd
    return len(news)


def save_case(case: Case) -> None:
    """Open the case of an CannotBeBooked, in a transaction of its own."""
    with transaction.atomic(durable=True):
        open_case(case)


def _lock(charge_id: UUID) -> _Payment:
    """Intent, then charge; both stay locked until the transaction ends."""
    intent_id = Operation.objects.values_list("intent_id", flat=True).get(pk=charge_id)
    intent = PaymentIntent.objects.select_for_update().get(pk=intent_id)
    charge = Operation.objects.select_for_update().get(pk=charge_id)
    return _Payment(
        merchant=Merchant.objects.get(pk=intent.merchant_id),
        intent=intent,
        charge=charge,
        operations=list(intent.operations.order_by("id")),
    )


def _news(payment: _Payment, seen: PspPayment) -> list[PspOperation]:
    """External operations that are not recorded yet, in the order of the PSP."""
    ours = {operation.id for operation in payment.operations}
    recorded = {(operation.kind, operation.psp_id) for operation in payment.operations}
    news = []
    for act in seen.operations:
        if act.kind in _ENDS_HOLD and payment.charge.status == OperationStatus.REVERSED:
            continue  # It was reversed with the charge.
        if act.kind is PspOperationKind.EXPIRE:
            # An old expiry does not count if the hold was reopened: the PSP then holds something.
            if payment.may_be_held and not seen.held:
                news.append(act)
        elif (
            _moved_money(act)
            and references.operation_id_of(act.reference) not in ours
            and (act.kind.value, act.psp_id) not in recorded
        ):
            news.append(act)
    return news


def _moved_money(act: PspOperation) -> bool:
    """True for a change that took effect, or a pending refund; no charge begins at the PSP."""
    if act.kind is PspOperationKind.AUTHORIZE or not act.amount:
        return False
    if act.kind is PspOperationKind.REFUND and act.outcome is Outcome.PENDING:
        return True
    return act.outcome is Outcome.SUCCEEDED


def _note_end_of_hold(payment: _Payment, seen: PspPayment) -> None:
    intent = payment.intent
    if seen.expires_at is None or intent.status != IntentStatus.AUTHORIZED:
        return
    if payment.charge.id != intent.latest_charge_id:
        return  # The hold of a duplicate charge is not the payment's own.
    if intent.authorization_expires_at != seen.expires_at:
        intent.authorization_expires_at = seen.expires_at
        Batch().update(intent, ("authorization_expires_at", "updated_at")).execute()


def _require_own_recorded(payment: _Payment, news: list[PspOperation]) -> None:
    """Raise OperationStillOpen: what is held and left is known only once ours are recorded."""
    if payment.charge.status not in _BEGUN_AND_ENDED:
        raise OperationStillOpen(
            f"{payment.charge.public_id} is {payment.charge.status} by our books"
        )
    refunds_matter = any(act.kind is PspOperationKind.REFUND for act in news)
    if payment.charge.status == OperationStatus.EXCESS:
        _require_duplicate_settled(payment)
        return
    pending_refund = any(_is_pending_refund(act) for act in news)
    if pending_refund and charged_back_of(payment.charge).amount:
        # It cannot be reserved, as a refund of ours cannot; once made, it is recorded.
        raise OperationStillOpen("a refund of a disputed payment has yet to be made")
    for operation in payment.operations:
        is_refund = operation.kind == OperationKind.REFUND
        waits_for = OPERATION_OUTCOME_UNKNOWN if is_refund else OPERATION_OPEN
        if operation.status in waits_for and (refunds_matter or not is_refund):
            raise OperationStillOpen(f"{operation.public_id} is still {operation.status}")


def _require_duplicate_settled(payment: _Payment) -> None:
    """Wait for what gives the duplicate charge back, and for any open change of the payment."""
    for operation in payment.operations:
        of_it = operation.charge_id == payment.charge.id
        is_refund = operation.kind == OperationKind.REFUND
        waits_for = OPERATION_OUTCOME_UNKNOWN if is_refund else OPERATION_OPEN
        if operation.status in waits_for and (of_it or operation.kind in _CHANGES):
            raise OperationStillOpen(f"{operation.public_id} is still {operation.status}")


def _is_pending_refund(act: PspOperation) -> bool:
    return act.kind is PspOperationKind.REFUND and act.outcome is Outcome.PENDING


def _objection(payment: _Payment, act: PspOperation, seen: PspPayment) -> CannotBeBooked | None:
    """Why an external operation cannot be booked; None if it can."""
    charge = payment.charge
    summary = ""
    is_duplicate = payment.is_duplicate
    currencies = {charge.currency} if is_duplicate else {charge.currency, payment.intent.currency}
    if currencies != {act.amount.currency}:
        summary = f"the provider shows {act.kind} of {act.amount}, the payment is in another money"
    elif act.kind is PspOperationKind.VOID and seen.held and act.amount < _held_by_us(payment):
        summary = f"the provider released {act.amount} and holds on to {seen.held}"
    elif is_duplicate:
        summary = objection_to(act, charge, payment.operations)
    elif charge.status == OperationStatus.REVERSED and act.kind is not PspOperationKind.REFUND:
        summary = f"the provider shows {act.kind} of {act.amount}, and took the charge back"
    if not summary:
        return None
    return CannotBeBooked(case_about_operation(CaseKind.CONTRADICTION, payment.charge, summary))


def _held_by_us(payment: _Payment) -> Money:
    if payment.charge.status == OperationStatus.EXCESS:
        held_minor = excess_left(payment.charge, payment.operations).held_minor
        return Money(held_minor, payment.charge.currency)
    return payment.intent.capturable


def _record(payment: _Payment, act: PspOperation) -> None:
    change = payment.change()
    is_expiry = act.kind is PspOperationKind.EXPIRE
    if not is_expiry:
        insert_operation(change, act)
    increments: list[Operation] = []
    if payment.is_duplicate:
        apply_to_duplicate_charge(change, act, payment.operations)
    elif act.kind in _ENDS_HOLD and (increments := _late_increments(payment)):
        release_increments(change, act, increments)
    elif is_expiry:
        expire_hold(change, act.amount)
    else:
        apply_external_operation(change, act)
    if not is_expiry and references.operation_id_of(act.reference) is not None:
        open_case_about_reference(change, act)
    _write(
        change, increments, callers.for_intent(payment.intent, EXPIRY_ACTOR if is_expiry else ACTOR)
    )
    if not is_expiry:
        payment.operations.append(change.operation)


def _late_increments(payment: _Payment) -> list[Operation]:
    """Increments that came after the hold had ended by our books."""
    if payment.intent.status == IntentStatus.AUTHORIZED:
        return []
    return increments_left(payment.charge, payment.operations)


def _write(change: Change, increments: list[Operation], caller: Caller) -> None:
    batch = Batch()
    put_change(batch, change, caller)
    for increment in increments:
        batch.update(increment, OPERATION_FIELDS)
    batch.execute()
