"""Records a PSP's statement on a dispute: rows, postings, events and cases, in one transaction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import transaction

from ledger import services as ledger
from ledger.database.row_ids import new_row_id
from ledger.database.statements import Batch
from ledger.selectors import rules_posted
from payments.clock import now_utc
from payments.models import Dispute, Operation, PaymentIntent
from payments.objects.dispute import dispute_object
from payments.public_ids import created_at_of
from payments.selectors.disputes import charged_back_of, was_ever_captured
from payments.services.callers.caller import Caller
from payments.services.cases.opening import case_about_intent, open_case
from payments.services.disputes.effects import (
    DisputeChange,
    apply_statement,
    event_drafts_of,
    next_sync,
)
from payments.services.disputes.transitions import (
    ConflictingStatement,
    first_status,
    is_outdated,
    require_possible_fee,
    require_same_dispute,
    statuses_on_the_way,
    take_step,
)
from payments.services.outbox.events import EventDraft, events_of
from payments.services.psp_gateway.accounts import identity_of
from payments.states import DISPUTE_OPEN, CaseKind
from psp_adapters.contract.disputes import PspDispute

_STEP_FIELDS: Final = ("status", "closed_at", "next_sync_at", "next_reminder_at")
DISPUTE_FIELDS: Final = (
    "reason",
    "network_reason_code",
    "fee_minor",
    "fee_returned_minor",
    "is_charge_refundable",
    "evidence_due_by",
    "answered_stage",
    "submission_count",
    "submitted_at",
    "held_id",
    "released_id",
    "funds_withdrawn_at",
    "funds_reinstated_at",
    "next_sync_at",
    "next_reminder_at",
    "updated_at",
)
_INTENT_FIELDS: Final = ("amount_disputed_minor", "latest_dispute_id", "event_seq", "updated_at")


class PaymentNotCaptured(Exception):
    """Nothing of the payment is captured as far as we know: sync again later."""


@dataclass(frozen=True, slots=True)
class RecordedDispute:
    """The dispute after a statement was recorded."""

    dispute: Dispute | None
    """None only if the first statement on a dispute cannot be true."""
    contradiction: str = ""
    """Why the statement cannot be true; only a case was written then."""


def locked_dispute(psp_account_id: UUID, psp_dispute_id: str) -> Dispute | None:
    """The dispute, locked; None if there is no such row yet: its unique index guards that."""
    rows = Dispute.objects.select_for_update()
    return rows.filter(psp_account_id=psp_account_id, psp_dispute_id=psp_dispute_id).first()


def record_statement(
    intent: PaymentIntent,
    charge: Operation,
    dispute: Dispute | None,
    statement: PspDispute,
    caller: Caller,
) -> RecordedDispute:
    """Record a statement and everything that follows, in the caller's transaction.

    Intent and dispute must be locked; a dispute that is not there yet is guarded by its index.
    Raises PaymentNotCaptured, having written nothing.
    """
    if dispute is not None and is_outdated(dispute, statement):
        _postpone_sync(dispute)
        return RecordedDispute(dispute)
    try:
        _require_possible(charge, dispute, statement)
    except ConflictingStatement as conflict:
        _open_conflict(intent, dispute, statement, str(conflict))
        return RecordedDispute(dispute, str(conflict))
    if dispute is None and not was_ever_captured(intent):
        raise PaymentNotCaptured(f"nothing of {intent.public_id} is captured yet")
    now = now_utc()
    is_new = dispute is None
    if dispute is None:
        dispute = _new_dispute(intent, charge, statement, caller)
        charge.latest_dispute_id = intent.latest_dispute_id = dispute.id
        Batch().insert(dispute).update(charge, ("latest_dispute_id",)).execute()
    status_before = dispute.status
    shown_before = {} if is_new else dispute_object(dispute, now=now)
    _enter_statuses(dispute, statement, now)
    change = DisputeChange(
        merchant=caller.merchant,
        psp_account_code=identity_of(dispute.psp_account_id).code,
        intent=intent,
        charge=charge,
        dispute=dispute,
        statement=statement,
        is_new=is_new,
        status_before=status_before,
        shown_before=shown_before,
        charged_back_beside=charged_back_of(charge, without=dispute).amount,
        booked=frozenset() if is_new else rules_posted("dispute", dispute.id),
        now=now,
    )
    apply_statement(change)
    _write(change, caller)
    return RecordedDispute(dispute)


def _require_possible(charge: Operation, dispute: Dispute | None, statement: PspDispute) -> None:
    """Raise ConflictingStatement for one that cannot be about this dispute of this charge."""
    if charge.currency != statement.amount.currency or statement.amount.minor <= 0:
        raise ConflictingStatement(f"{statement.amount} of a charge in {charge.currency}")
    require_possible_fee(statement)
    target = statement.status
    if dispute is None:
        statuses_on_the_way(first_status(statement), target)
        return
    if dispute.charge_id != charge.id:
        raise ConflictingStatement("it was about another charge")
    require_same_dispute(dispute, statement)
    statuses_on_the_way(dispute.status, target)


def _new_dispute(
    intent: PaymentIntent, charge: Operation, statement: PspDispute, caller: Caller
) -> Dispute:
    identifier = new_row_id()
    created_at = created_at_of(identifier)
    status = first_status(statement)
    return Dispute(
        id=identifier,
        merchant_id=intent.merchant_id,
        livemode=intent.livemode,
        intent_id=intent.id,
        charge_id=charge.id,
        psp_account_id=charge.psp_account_id,
        psp_dispute_id=statement.psp_dispute_id,
        status=status,
        began_as_inquiry=statement.began_as_inquiry,
        amount_minor=statement.amount.minor,
        currency=statement.amount.currency,
        reason=statement.reason[:64],
        network_reason_code=statement.network_reason_code[:32],
        loss_policy=caller.merchant.dispute_loss_policy,
        closed_at=None if status in DISPUTE_OPEN else created_at,
        opened_at=statement.opened_at,
        created_at=created_at,
        updated_at=created_at,
    )


def _enter_statuses(dispute: Dispute, statement: PspDispute, now: datetime) -> None:
    """Write each status in between: PostgreSQL checks every single step."""
    target = statement.status
    for status in statuses_on_the_way(dispute.status, target):
        take_step(dispute, status, now)
        Batch().update(dispute, _STEP_FIELDS).execute()


def _write(change: DisputeChange, caller: Caller) -> None:
    """Books, rows, events and cases of a change; nothing at all if it changes nothing."""
    dispute, intent = change.dispute, change.intent
    _post(change)
    dispute.updated_at = intent.updated_at = change.now
    batch = Batch().update(dispute, DISPUTE_FIELDS)
    shown = dispute_object(dispute, now=change.now)
    drafts = [
        EventDraft(type_, shown, previous) for type_, previous in event_drafts_of(change, shown)
    ]
    if drafts or change.postings:
        events = events_of(intent, drafts, caller)
        batch.update(intent, _INTENT_FIELDS).insert(*events)
    batch.execute()
    for case in change.cases:
        open_case(case)


def _post(change: DisputeChange) -> None:
    dispute = change.dispute
    identifiers = ledger.post(
        change.postings,
        source_type="dispute",
        source_id=dispute.id,
        payment_id=dispute.intent_id,
        merchant_id=dispute.merchant_id,
        psp_account=change.psp_account_code,
    )
    for posting, identifier in zip(change.postings, identifiers, strict=True):
        if posting.rule == "dispute_held":
            dispute.held_id = identifier
        elif posting.rule == "dispute_hold_released":
            dispute.released_id = identifier


def _postpone_sync(dispute: Dispute) -> None:
    dispute.next_sync_at = next_sync(dispute, now_utc())
    dispute.save(update_fields=["next_sync_at"])


def _open_conflict(
    intent: PaymentIntent, dispute: Dispute | None, statement: PspDispute, why: str
) -> None:
    """Open a case for an operator, and book nothing."""
    subject = (
        dispute.public_id if dispute is not None else f"dispute {statement.psp_dispute_id}"[:128]
    )
    summary = f"Dispute {statement.psp_dispute_id} at the provider: {why}."
    amount = dispute.amount if dispute is not None else intent.amount
    open_case(
        case_about_intent(CaseKind.CONTRADICTION, intent, summary, subject=subject, amount=amount)
    )
    if dispute is not None:
        _postpone_sync(dispute)


def record_dispute(*, statement: PspDispute, charge: Operation, caller: Caller) -> RecordedDispute:
    """Record the PSP's statement on a dispute and everything that follows, in one transaction.

    A statement that repeats the current or an earlier status only reschedules the next sync.
    Raises PaymentNotCaptured, having written nothing.
    """
    return record_dispute_under_lock(
        psp_dispute_id=statement.psp_dispute_id,
        statement_on=lambda _: statement,
        charge=charge,
        caller=caller,
    )


def record_dispute_under_lock(
    *,
    psp_dispute_id: str,
    statement_on: Callable[[Dispute | None], PspDispute],
    charge: Operation,
    caller: Caller,
) -> RecordedDispute:
    """Record the statement that `statement_on` derives from the locked dispute, as record_dispute.

    `statement_on` is called under the locks, with None if there is no such dispute yet. What it
    raises is raised here, and nothing is written.
    """
    with transaction.atomic(durable=True):
        intent = PaymentIntent.objects.select_for_update().get(pk=charge.intent_id)
        charge.refresh_from_db()  # As it stands under the lock.
        dispute = locked_dispute(charge.psp_account_id, psp_dispute_id)
        return record_statement(intent, charge, dispute, statement_on(dispute), caller)
