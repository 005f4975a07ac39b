"""Syncs disputes with the PSP: after a notification, a settlement line, or some hours without one.

A notification is a reason to look up; only the ids in it are used.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Final

from payments.models import Dispute, Operation, PspAccount
from payments.selectors.payments import newest_charge_of_psp_payment
from payments.services import callers
from payments.services.disputes.recording import PaymentNotCaptured, record_dispute
from payments.services.disputes.transitions import (
    ConflictingStatement,
    is_outdated,
    require_same_dispute,
    statuses_on_the_way,
)
from payments.services.jobs.due_queue import DueQueue, Handled, run_sweep
from payments.services.psp_gateway import accounts, references
from payments.services.psp_gateway.queries import Inconclusive, look_up
from payments.services.recovery.payment_sync import Conflict, conflict, sync_operation
from payments.states import OPERATION_OPEN
from psp_adapters.contract.disputes import PspDispute
from psp_adapters.contract.operations import OperationKind

logger = logging.getLogger(__name__)

ACTOR: Final = "job:disputes"
SWEEP_LIMIT: Final = 100
SWEEP_SECONDS: Final = 5.0
"""Short: the heartbeat of its queue waits for it."""
QUEUE: Final = DueQueue(
    Dispute.objects.select_related("psp_account"),
    due="next_sync_at",
    # Also the wait before a dispute is synced again that the PSP could not be asked about.
    lease=timedelta(seconds=300),
)


def sync_dispute(*, account: PspAccount, psp_dispute_id: str, actor: str) -> None:
    """Look up one dispute and record it; holds no pooled connection during the call.

    If the PSP's disputes cannot be looked up, a dispute that is recorded stays as it is. Raises
    Inconclusive or Conflict. A statement that changes nothing is no error.
    """
    if not accounts.adapter_of(account).capabilities.disputes:
        _require_known(account, psp_dispute_id)
        return
    statement = _confirmed(account, _look_up_dispute(account, psp_dispute_id))
    charge = charge_of_dispute(
        account,
        psp_dispute_id=psp_dispute_id,
        payment_reference=statement.payment_reference,
        psp_payment_id=statement.psp_payment_id,
    )
    sync_open_operations(charge, actor)
    try:
        recorded = record_dispute(
            statement=statement, charge=charge, caller=callers.for_operation(charge, actor)
        )
    except PaymentNotCaptured as reason:
        raise Inconclusive(str(reason)) from reason
    if recorded.contradiction:
        raise Conflict(f"dispute {psp_dispute_id}: {recorded.contradiction}")


def sync_due_disputes(*, limit: int = SWEEP_LIMIT) -> int:
    """Sync open disputes whose time has come; returns how many were taken.

    Bounded in number and time. Safe to repeat, and several workers may run it at once.
    """
    return run_sweep(QUEUE, _sync_due, most=limit, seconds=SWEEP_SECONDS)


def _sync_due(dispute: Dispute) -> Handled:
    account = dispute.psp_account
    if not accounts.adapter_of(account).capabilities.disputes:
        # Only settlement reports say what became of it.
        QUEUE.under_lease(dispute).update(next_sync_at=None)
        return Handled.NOT_ASKED
    try:
        sync_dispute(account=account, psp_dispute_id=dispute.psp_dispute_id, actor=ACTOR)
    except (Inconclusive, Conflict) as reason:
        logger.warning("%s could not be synced: %s", dispute.public_id, reason)
    return Handled.ANSWERED


def charge_of_dispute(
    account: PspAccount, *, psp_dispute_id: str, payment_reference: str, psp_payment_id: str
) -> Operation:
    """The charge that a dispute is about, within one PSP account.

    Raises Inconclusive if there is none, or Conflict if reference and id name two payments.
    """
    known = Dispute.objects.filter(psp_account=account, psp_dispute_id=psp_dispute_id)
    dispute = known.select_related("charge").first()
    if dispute is not None:
        return dispute.charge
    identifier = references.operation_id_of(payment_reference)
    if identifier is None:
        charge = newest_charge_of_psp_payment(account.id, psp_payment_id)
    else:
        charges = Operation.objects.filter(psp_account=account, kind=OperationKind.AUTHORIZE.value)
        charge = charges.filter(pk=identifier).first()
    if charge is None:
        raise Inconclusive("it concerns no charge of ours at this account")
    if charge.psp_payment_id and psp_payment_id not in ("", charge.psp_payment_id):
        raise conflict(charge, "a dispute names it as another payment at the provider")
    return charge


def sync_open_operations(charge: Operation, actor: str) -> None:
    """Sync the payment's open charge and captures, which may be disputed before we know of them.

    Raises Inconclusive or Conflict.
    """
    rows = Operation.objects.filter(
        intent_id=charge.intent_id,
        kind__in=[OperationKind.AUTHORIZE.value, OperationKind.CAPTURE.value],
        status__in=sorted(OPERATION_OPEN),
    )
    for operation_id in list(rows.order_by("id").values_list("id", flat=True)):
        sync_operation(operation_id, actor=actor)


def _look_up_dispute(account: PspAccount, psp_dispute_id: str) -> PspDispute:
    return look_up(
        account,
        lambda adapter, seconds: adapter.look_up_dispute(psp_dispute_id, deadline_seconds=seconds),
        what="dispute",
    )


def _confirmed(account: PspAccount, statement: PspDispute) -> PspDispute:
    """The statement, looked up twice if it opens a dispute, reports a fee or contradicts our row.

    One answer may be wrong, and only the PSP knows what a dispute is about.
    """
    if not _is_surprising(account, statement):
        return statement
    again = _look_up_dispute(account, statement.psp_dispute_id)
    if _facts_of(again) != _facts_of(statement):
        raise Inconclusive("the provider says two things of the dispute")
    return again


def _is_surprising(account: PspAccount, statement: PspDispute) -> bool:
    rows = Dispute.objects.filter(psp_account=account, psp_dispute_id=statement.psp_dispute_id)
    dispute = rows.first()
    if dispute is None:
        return True
    fees = (statement.fee.minor, statement.fee_returned.minor)
    if fees != (dispute.fee_minor, dispute.fee_returned_minor):
        return True
    try:
        require_same_dispute(dispute, statement)
        if not is_outdated(dispute, statement):
            statuses_on_the_way(dispute.status, statement.status)
    except ConflictingStatement:
        return True
    return False


def _facts_of(statement: PspDispute) -> tuple[object, ...]:
    """What stays the same while a dispute moves on, or changes once."""
    about = (
        statement.psp_payment_id,
        statement.payment_reference,
        statement.amount,
        statement.began_as_inquiry,
    )
    return (*about, statement.fee, statement.fee_returned)


def _require_known(account: PspAccount, psp_dispute_id: str) -> None:
    rows = Dispute.objects.filter(psp_account=account, psp_dispute_id=psp_dispute_id)
    if not rows.exists():
        raise Inconclusive("the provider cannot be asked about disputes; its report will name it")
