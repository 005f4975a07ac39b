"""Responds to disputes (stages evidence, submits it once, accepts), and guards their refunds."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from ledger.database.statements import Batch
from ledger.money import Money
from payments import public_ids
from payments.clock import now_utc
from payments.exceptions import (
    ChargeRefused,
    DisputeRefused,
    InvalidParameter,
    OperationUnderWay,
    ResourceMissing,
)
from payments.metadata import merged_metadata
from payments.models import (
    Dispute,
    DisputedRefundPolicy,
    DisputeResponse,
    Operation,
    PaymentIntent,
)
from payments.objects.dispute import dispute_object
from payments.public_ids import created_at_of
from payments.selectors.disputes import charged_back_of, refundable_of
from payments.services.callers.caller import Caller, Subject
from payments.services.cases.opening import case_of_disputed_refund, open_case
from payments.services.commands.run import command
from payments.services.commands.transaction import CommandTx
from payments.services.disputes.responses import WrittenResponse
from payments.services.idempotency import keys
from payments.services.outbox.events import EventDraft, events_of, previous_attributes
from payments.states import RESPONSE_OPEN, ResponseStatus

Kind = DisputeResponse.Kind

_STAGED: tuple[str, ...] = ("evidence", "metadata", "updated_at")
_SPENT: tuple[str, ...] = ("answered_stage", "submission_count", "next_reminder_at")


@command
def update_dispute(
    tx: CommandTx,
    *,
    dispute_id: UUID,
    evidence: dict[str, str] | None = None,
    metadata: dict[str, str] | None = None,
    submit: bool | None = None,
) -> WrittenResponse | Subject:
    """Stage evidence (merged into what is staged; an empty text unsets) and change metadata.

    With `submit` (by default if evidence is given) everything staged is submitted to the bank, once
    per stage and for good. Raises DisputeRefused: closed, submitted already, past due.
    """
    submits = evidence is not None if submit is None else submit
    intent, dispute = _locked(tx, dispute_id)
    earlier = _earlier_response(tx)
    if earlier is not None:
        return WrittenResponse(earlier, by_earlier_run=True)
    before = dispute_object(dispute)
    if evidence is not None or submits:
        _require_takes_evidence(dispute)
    if evidence is not None:
        dispute.evidence = _merged(dispute.evidence, evidence)
    if metadata is not None:
        dispute.metadata = merged_metadata(dispute.metadata, metadata)
    if not submits:
        _changed(dispute, intent, before, tx.caller, Batch(), _STAGED).execute()
        return Subject(intent=intent, dispute=dispute)
    _require_something_to_submit(dispute)
    response = _new_response(tx, dispute, Kind.EVIDENCE, dispute.evidence)
    dispute.answered_stage = dispute.stage
    dispute.submission_count += 1
    dispute.next_reminder_at = None
    batch = Batch().insert(response)
    _changed(dispute, intent, before, tx.caller, batch, (*_STAGED, *_SPENT)).execute()
    return WrittenResponse(response)


@command
def close_dispute(tx: CommandTx, *, dispute_id: UUID) -> WrittenResponse:
    """Accept the dispute: a chargeback is lost, an inquiry closed. That is final.

    Raises DisputeRefused if it is closed already, and OperationUnderWay while a response is on its
    way.
    """
    _, dispute = _locked(tx, dispute_id)
    earlier = _earlier_response(tx)
    if earlier is not None:
        return WrittenResponse(earlier, by_earlier_run=True)
    _require_open(dispute)
    _require_no_response_under_way(dispute)
    response = _new_response(tx, dispute, Kind.ACCEPTANCE, {})
    Batch().insert(response).execute()
    return WrittenResponse(response)


def refuse_or_flag_disputed(intent: PaymentIntent, amount: Money, caller: Caller) -> None:
    """Refuse a refund of what a bank charged back, or allow it with a case.

    The merchant's policy decides; PostgreSQL holds it too. What was not charged back may be
    refunded. The intent must be locked, so that no chargeback is recorded meanwhile. Inquiries
    move no money and stop no refund; neither does the chargeback of a duplicate charge. Raises
    ChargeRefused.
    """
    if amount <= refundable_of(intent) or intent.latest_charge_id is None:
        return
    charge = Operation.objects.only("id", "currency").get(pk=intent.latest_charge_id)
    charged_back = charged_back_of(charge)
    disputed = charged_back.amount
    if not disputed:
        return
    if caller.merchant.disputed_refund_policy != DisputedRefundPolicy.FLAG:
        raise ChargeRefused(
            f"{disputed} of {intent.public_id} was charged back by the customer's bank: a refund "
            f"of {amount} would pay the customer twice; {refundable_of(intent)} may be refunded. "
            "Answer the dispute instead, or close it.",
            code="charge_disputed",
            intent=intent,
        )
    summary = f"A refund was asked for although {disputed} of {intent.public_id} is charged back."
    open_case(case_of_disputed_refund(intent, charged_back, summary))


def _locked(tx: CommandTx, dispute_id: UUID) -> tuple[PaymentIntent, Dispute]:
    """The caller's dispute and its intent, locked in the usual order. Raises ResourceMissing."""
    caller = tx.caller
    rows = Dispute.objects.filter(merchant_id=caller.merchant.id, livemode=caller.livemode)
    found = rows.filter(pk=dispute_id).only("intent_id").first()
    if found is None:
        public_id = public_ids.encode(public_ids.DISPUTE, dispute_id)
        raise ResourceMissing(f"No such dispute: '{public_id}'", param="dispute")
    intent = tx.lock_intent(found.intent_id)
    return intent, rows.select_for_update().get(pk=dispute_id)


def _earlier_response(tx: CommandTx) -> DisputeResponse | None:
    """The response that an earlier run of this request wrote, unless it was never sent."""
    claim = tx.claim
    if claim is None or claim.fresh:
        return None
    rows = DisputeResponse.objects.filter(idempotency_id=tx.idempotency_id)
    earlier = rows.exclude(status=ResponseStatus.NOT_SENT).first()
    if earlier is not None:
        keys.take_over(claim, operation_id=earlier.id, intent_id=claim.row.intent_id)
    return earlier


def _require_open(dispute: Dispute) -> None:
    if not dispute.is_open:
        raise DisputeRefused(
            f"{dispute.public_id} is {dispute.status}: it is over, and takes no response.",
            code="dispute_unexpected_state",
        )


def _require_takes_evidence(dispute: Dispute) -> None:
    _require_open(dispute)
    if dispute.slot_is_spent:
        raise DisputeRefused(
            f"Evidence for {dispute.public_id} was handed in already. The bank takes it once, so "
            "nothing can be added or changed.",
            code="dispute_evidence_already_submitted",
        )
    due_by = dispute.evidence_due_by
    if due_by is None or due_by <= now_utc():
        ended = f" ended at {due_by:%Y-%m-%d %H:%M} UTC" if due_by is not None else " is over"
        raise DisputeRefused(
            f"The time for evidence of {dispute.public_id}{ended}.", code="dispute_past_due"
        )
    _require_no_response_under_way(dispute)


def _require_no_response_under_way(dispute: Dispute) -> None:
    if dispute.responses.filter(status__in=sorted(RESPONSE_OPEN)).exists():
        raise OperationUnderWay(
            f"A response to {dispute.public_id} is on its way to the payment provider. "
            "Please try the same request again shortly."
        )


def _require_something_to_submit(dispute: Dispute) -> None:
    if not dispute.evidence:
        raise InvalidParameter(
            "There is no evidence to submit: pass evidence, or stage some first.",
            param="evidence",
            code="parameter_missing",
        )


def _merged(present: dict[str, str], given: dict[str, str]) -> dict[str, str]:
    return {name: text for name, text in {**present, **given}.items() if text}


def _new_response(
    tx: CommandTx, dispute: Dispute, kind: Kind, evidence: dict[str, str]
) -> DisputeResponse:
    """An unsaved response, leased to this process; its permanent key is its own public id."""
    identifier, caller = tx.operation_id, tx.caller
    created_at = created_at_of(identifier)
    lease_until = created_at + timedelta(seconds=keys.LEASE_SECONDS)
    return DisputeResponse(
        id=identifier,
        merchant_id=dispute.merchant_id,
        livemode=dispute.livemode,
        dispute_id=dispute.id,
        kind=kind.value,
        stage=dispute.stage.value,
        evidence=evidence,
        psp_key=public_ids.encode(public_ids.DISPUTE_RESPONSE, identifier),
        actor=caller.actor,
        request_id=caller.request_id,
        idempotency_id=tx.idempotency_id,
        lease_until=lease_until,
        next_check_at=lease_until,
        created_at=created_at,
    )


def _changed(
    dispute: Dispute,
    intent: PaymentIntent,
    before: dict[str, Any],
    caller: Caller,
    batch: Batch,
    fields: tuple[str, ...],
) -> Batch:
    """The dispute's row, and an event if the merchant sees a difference."""
    dispute.updated_at = intent.updated_at = now_utc()
    shown = dispute_object(dispute)
    previous = previous_attributes(before, shown)
    batch.update(dispute, fields)
    if previous:
        draft = EventDraft("charge.dispute.updated", shown, previous)
        events = events_of(intent, [draft], caller)
        batch.update(intent, ("event_seq", "updated_at")).insert(*events)
    return batch
