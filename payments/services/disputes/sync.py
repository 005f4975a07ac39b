"""Ask the PSP how a dispute stands, because it told us something, or told us nothing for long.

A notice is a reason to look: nothing of it but the names of the dispute and its payment is used.
What may not live here: what a word causes (services.disputes), responses.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Final

from payments.models import Dispute, Operation, PspAccount
from payments.services import callers
from payments.services.disputes.recording import PaymentNotCaptured, record_dispute
from payments.services.disputes.transitions import (
    ConflictingStatement,
    is_outdated,
    require_same_dispute,
    statuses_on_the_way,
)
from payments.services.jobs.due_queue import DueQueue, Handled, run_sweep
from payments.services.psp_gateway import accounts, dispute_calls, references
from payments.services.psp_gateway.circuit_breaker import CallRefused
from payments.services.psp_gateway.queries import give_connection_back
from payments.services.recovery.operation_sync import (
    Contradicted,
    NotYetKnown,
    contradiction,
    look_at_operation,
)
from payments.states import OPERATION_OPEN
from psp_adapters.contract.disputes import PspDispute
from psp_adapters.contract.operations import OperationKind, PspUnavailable

logger = logging.getLogger(__name__)

ACTOR: Final = "job:disputes"
SWEEP_LIMIT: Final = 100
SWEEP_SECONDS: Final = 5.0
"""Short: the heartbeat of its queue waits for it."""
QUEUE: Final = DueQueue(
    Dispute.objects.select_related("psp_account"),
    due="next_look_at",
    # Also when to come back to a dispute that the PSP could not be asked about.
    lease=timedelta(seconds=300),
)


def look_at_dispute(*, account: PspAccount, psp_dispute_id: str, actor: str) -> None:
    """Bring one dispute to where the PSP says it is; holds no connection of a pool while asking.

    Where the PSP cannot be asked about disputes, one that we know is left as it is. Raises
    NotYetKnown or Contradicted; a word that changes nothing is fine.
    """
    if not accounts.adapter_of(account).capabilities.disputes:
        _require_known(account, psp_dispute_id)
        return
    word = _confirmed(account, _ask(account, psp_dispute_id))
    charge = charge_of_dispute(
        account,
        psp_dispute_id=psp_dispute_id,
        payment_reference=word.payment_reference,
        psp_payment_id=word.psp_payment_id,
    )
    look_at_what_is_open(charge, actor)
    try:
        recorded = record_dispute(
            statement=word, charge=charge, caller=callers.for_operation(charge, actor)
        )
    except PaymentNotCaptured as reason:
        raise NotYetKnown(str(reason)) from reason
    if recorded.contradiction:
        raise Contradicted(f"dispute {psp_dispute_id}: {recorded.contradiction}")


def sync_due_disputes(*, limit: int = SWEEP_LIMIT) -> int:
    """Sync open disputes whose time has come; returns how many were taken.

    Bounded in number and time. Safe to repeat, and several workers may run it at once.
    """
    return run_sweep(QUEUE, _sync_due, most=limit, seconds=SWEEP_SECONDS)


def _sync_due(dispute: Dispute) -> Handled:
    account = dispute.psp_account
    if not accounts.adapter_of(account).capabilities.disputes:
        # Only settlement reports say how it stands.
        QUEUE.under_lease(dispute).update(next_look_at=None)
        return Handled.NOT_ASKED
    try:
        look_at_dispute(account=account, psp_dispute_id=dispute.psp_dispute_id, actor=ACTOR)
    except (NotYetKnown, Contradicted) as reason:
        logger.warning("%s could not be synced: %s", dispute.public_id, reason)
    return Handled.ANSWERED


def charge_of_dispute(
    account: PspAccount, *, psp_dispute_id: str, payment_reference: str, psp_payment_id: str
) -> Operation:
    """The charge that a dispute is about, within the account that told us.

    Raises NotYetKnown, or Contradicted if the words name two payments.
    """
    known = Dispute.objects.filter(psp_account=account, psp_dispute_id=psp_dispute_id)
    dispute = known.select_related("charge").first()
    if dispute is not None:
        return dispute.charge
    charges = Operation.objects.filter(psp_account=account, kind=OperationKind.AUTHORIZE.value)
    identifier = references.operation_id_of(payment_reference)
    if identifier is not None:
        charge = charges.filter(pk=identifier).first()
    else:
        of_payment = charges.filter(psp_payment_id=psp_payment_id).exclude(psp_payment_id="")
        # The newest: should two charges ever share a payment, it is the one that stands.
        charge = of_payment.order_by("-id").first()
    if charge is None:
        raise NotYetKnown("it concerns no charge of ours at this account")
    if charge.psp_payment_id and psp_payment_id not in ("", charge.psp_payment_id):
        raise contradiction(charge, "a dispute names it as another payment at the provider")
    return charge


def look_at_what_is_open(charge: Operation, actor: str) -> None:
    """Ask about what is under way of the payment: it may be disputed before we know it was taken.

    Raises NotYetKnown or Contradicted.
    """
    rows = Operation.objects.filter(
        intent_id=charge.intent_id,
        kind__in=[OperationKind.AUTHORIZE.value, OperationKind.CAPTURE.value],
        status__in=sorted(OPERATION_OPEN),
    )
    for operation_id in list(rows.order_by("id").values_list("id", flat=True)):
        look_at_operation(operation_id, actor=actor)


def _ask(account: PspAccount, psp_dispute_id: str) -> PspDispute:
    give_connection_back()
    try:
        word = dispute_calls.ask(account, psp_dispute_id)
    except (PspUnavailable, CallRefused) as error:
        raise NotYetKnown(f"the provider could not be asked: {error}") from error
    if word is None:
        raise NotYetKnown("the provider does not find the dispute (yet)")
    return word


def _confirmed(account: PspAccount, word: PspDispute) -> PspDispute:
    """The word, said twice if it opens a dispute, tells of a fee or contradicts what we hold.

    An answer may be wrong once, and what a dispute is about nobody knows but the PSP.
    """
    if not _is_surprising(account, word):
        return word
    again = _ask(account, word.psp_dispute_id)
    if _facts_of(again) != _facts_of(word):
        raise NotYetKnown("the provider says two things of the dispute")
    return again


def _is_surprising(account: PspAccount, word: PspDispute) -> bool:
    rows = Dispute.objects.filter(psp_account=account, psp_dispute_id=word.psp_dispute_id)
    dispute = rows.first()
    if dispute is None:
        return True
    fees = (word.fee.minor, word.fee_returned.minor)
    if fees != (dispute.fee_minor, dispute.fee_returned_minor):
        return True
    try:
        require_same_dispute(dispute, word)
        if not is_outdated(dispute, word):
            statuses_on_the_way(dispute.status, word.status)
    except ConflictingStatement:
        return True
    return False


def _facts_of(word: PspDispute) -> tuple[object, ...]:
    """What does not change while a dispute moves on, or once at most."""
    about = (word.psp_payment_id, word.payment_reference, word.amount, word.began_as_inquiry)
    return (*about, word.fee, word.fee_returned)


def _require_known(account: PspAccount, psp_dispute_id: str) -> None:
    rows = Dispute.objects.filter(psp_account=account, psp_dispute_id=psp_dispute_id)
    if not rows.exists():
        raise NotYetKnown("the provider cannot be asked about disputes; its report will name it")
