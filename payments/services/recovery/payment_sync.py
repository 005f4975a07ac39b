"""Ask the PSP for a whole payment, and bring ours to where it stands there.

Finds what no operation of ours could tell of. Only a question: safe at any time, and beside anybody
else. What may not live here: what a word or an act of the PSP causes.
"""

from __future__ import annotations

from uuid import UUID

from payments.models import Operation
from payments.services.outcomes.external.recording import (
    CannotBeBooked,
    OperationStillOpen,
    record_external_operations,
    save_case,
)
from payments.services.psp_gateway import accounts, references, sending
from payments.services.psp_gateway.circuit_breaker import CallRefused
from payments.services.psp_gateway.queries import ask_psp, give_connection_back
from payments.services.recovery.operation_sync import (
    Contradicted,
    NotYetKnown,
    agrees,
    look_at_operation,
)
from psp_adapters.contract.operations import PspUnavailable
from psp_adapters.contract.payments import PspOperation, PspPayment


def look_at_payment(charge_id: UUID, *, actor: str) -> None:
    """Bring the payment of a charge to where the PSP says it is.

    Holds no connection of a pool while asking. Raises NotYetKnown or Contradicted (a case is open
    then, where nothing of what was seen could be booked).
    """
    charge = Operation.objects.get(pk=charge_id)
    seen = _ask(charge)
    _bring_operations_up(charge, seen, actor)
    try:
        record_external_operations(charge_id, seen)
    except OperationStillOpen as reason:
        raise NotYetKnown(str(reason)) from reason
    except CannotBeBooked as finding:
        save_case(finding.case)
        raise Contradicted(str(finding)) from finding
    _follow_own_acts(charge, seen, actor)


def _ask(charge: Operation) -> PspPayment:
    if not charge.psp_payment_id:
        raise NotYetKnown(f"{charge.public_id} has no payment at the provider (yet)")
    account = accounts.psp_account_of(charge.psp_account_id)
    adapter = accounts.adapter_of(account)
    payment_id, deadline_seconds = charge.psp_payment_id, sending.LOOKUP_DEADLINE_SECONDS
    give_connection_back()
    try:
        seen = ask_psp(
            account,
            lambda: adapter.look_up_payment(payment_id, deadline_seconds=deadline_seconds),
        )
    except (PspUnavailable, CallRefused) as error:
        raise NotYetKnown(f"the provider could not be asked: {error}") from error
    if seen is None:
        raise NotYetKnown("the provider does not find the payment (yet)")
    return seen


def _bring_operations_up(charge: Operation, seen: PspPayment, actor: str) -> None:
    """What is open by our books and decided at the PSP, and the charge itself, come first."""
    ours = {operation.id: operation for operation in _operations_of(charge)}
    for act in seen.operations:
        identifier = references.operation_id_of(act.reference)
        operation = ours.get(identifier) if identifier is not None else None
        if operation is None or agrees(operation, act.outcome):
            continue
        if operation.is_open or operation.id == charge.id:
            look_at_operation(operation.id, actor=actor)


def _follow_own_acts(charge: Operation, seen: PspPayment, actor: str) -> None:
    """An act recorded earlier may have moved on: a refund that was pending, or failed late."""
    acts: dict[tuple[str, str], PspOperation] = {
        (act.kind.value, act.psp_id): act for act in seen.operations
    }
    for operation in _operations_of(charge):
        act = acts.get((operation.kind, operation.psp_id))
        if operation.is_own_act and act is not None and not agrees(operation, act.outcome):
            look_at_operation(operation.id, actor=actor)


def _operations_of(charge: Operation) -> list[Operation]:
    return list(Operation.objects.filter(intent_id=charge.intent_id).order_by("id"))
