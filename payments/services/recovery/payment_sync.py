"""Syncs a whole payment with the PSP: its operations, and those that began at the PSP.

Only look-ups: safe at any time, and beside any other worker or request.
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
from payments.services.psp_gateway import accounts, references
from payments.services.psp_gateway.queries import Inconclusive, look_up
from payments.services.recovery.operation_sync import Conflict, agrees, sync_operation
from psp_adapters.contract.payments import PspOperation, PspPayment


def sync_payment(charge_id: UUID, *, actor: str) -> None:
    """Look up the payment of a charge and record what the PSP shows.

    Holds no connection of a pool while asking. Raises Inconclusive or Conflict (a case is open
    then, where nothing of what the PSP shows could be booked).
    """
    charge = Operation.objects.get(pk=charge_id)
    found = look_up_payment(charge)
    _sync_our_operations(charge, found, actor)
    try:
        record_external_operations(charge_id, found)
    except OperationStillOpen as reason:
        raise Inconclusive(str(reason)) from reason
    except CannotBeBooked as finding:
        save_case(finding.case)
        raise Conflict(str(finding)) from finding
    _sync_external_operations(charge, found, actor)


def look_up_payment(charge: Operation) -> PspPayment:
    if not charge.psp_payment_id:
        raise Inconclusive(f"{charge.public_id} has no payment at the provider (yet)")
    payment_id = charge.psp_payment_id
    return look_up(
        accounts.identity_of(charge.psp_account_id),
        lambda adapter, seconds: adapter.look_up_payment(payment_id, deadline_seconds=seconds),
        what="payment",
    )


def _sync_our_operations(charge: Operation, found: PspPayment, actor: str) -> None:
    """Sync the charge, and each operation that is open here and decided at the PSP."""
    ours = {operation.id: operation for operation in _operations_of(charge)}
    for act in found.operations:
        identifier = references.operation_id_of(act.reference)
        operation = ours.get(identifier) if identifier is not None else None
        if operation is None or agrees(operation, act.outcome):
            continue
        if operation.is_open or operation.id == charge.id:
            sync_operation(operation.id, actor=actor)


def _sync_external_operations(charge: Operation, found: PspPayment, actor: str) -> None:
    """Sync external operations recorded earlier: a refund that was pending, or failed late."""
    acts: dict[tuple[str, str], PspOperation] = {
        (act.kind.value, act.psp_id): act for act in found.operations
    }
    for operation in _operations_of(charge):
        act = acts.get((operation.kind, operation.psp_id))
        if operation.is_external and act is not None and not agrees(operation, act.outcome):
            sync_operation(operation.id, actor=actor)


def _operations_of(charge: Operation) -> list[Operation]:
    return list(Operation.objects.filter(intent_id=charge.intent_id).order_by("id"))
