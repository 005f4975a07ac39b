"""The one door for disputes: a PSP's word becomes status, books, counters, events and the answer.

A notification, the answer to a response, the sweep of open disputes and a settlement line all come
through `record_dispute` or `record_response`, which write everything in one transaction or nothing.
Lock order: idempotency key, intent, dispute, response. What may not live here: network.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db import transaction

from ledger import services as ledger
from ledger.selectors import rules_posted
from ledger.statements import Batch
from payments import public_ids
from payments.models import (
    Dispute,
    DisputeResponse,
    IdempotencyKey,
    Operation,
    PaymentIntent,
)
from payments.objects.dispute import dispute_object
from payments.selectors.disputes import charged_back_of, was_ever_captured
from payments.services import idempotency
from payments.services.caller import Answer, Caller, Renderer, Subject
from payments.services.cases import case_about_intent, open_case
from payments.services.dispute_effects import (
    ContradictoryWord,
    DisputeChange,
    apply_word,
    facts_of,
    first_status,
    is_old_news,
    next_look,
    next_reminder,
    require_possible_fee,
    require_same_dispute,
    statuses_on_the_way,
    take_step,
)
from payments.services.events import Fact, events_of, now_utc, time_of
from payments.services.metadata import previous_attributes
from payments.services.psp import psp_account_of
from payments.services.schedule import CHECK_SCHEDULE_SECONDS
from payments.states import (
    DISPUTE_OPEN,
    RESPONSE_HOLDS,
    CaseKind,
    DisputeStatus,
    ResponseStatus,
)
from psp_adapters.contract import Outcome
from psp_adapters.dispute_contract import DisputeResult, PspDispute

_STEP_FIELDS: Final = ("status", "closed_at", "next_look_at", "next_reminder_at")
_DISPUTE_FIELDS: Final = (
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
    "next_look_at",
    "next_reminder_at",
    "updated_at",
)
_INTENT_FIELDS: Final = ("amount_disputed_minor", "latest_dispute_id", "event_seq", "updated_at")
_RESPONSE_FIELDS: Final = (
    "status",
    "code",
    "message",
    "detail",
    "lease_until",
    "next_check_at",
    "checks",
    "closed_at",
)
_SAY: Final = {
    Outcome.SUCCEEDED: DisputeResponse.succeed,
    Outcome.DECLINED: DisputeResponse.decline,
    Outcome.NOT_SENT: DisputeResponse.drop,
    Outcome.UNKNOWN: DisputeResponse.doubt,
}


class PaymentNotCaptured(Exception):
    """What is disputed was never captured, as far as we know yet: ask again later."""


@dataclass(frozen=True, slots=True)
class RecordedDispute:
    """What stands in the database after a word was recorded."""

    dispute: Dispute | None
    """None only where the first word of a dispute cannot be true."""
    contradiction: str = ""
    """Why the word cannot be true; a case is open then, and nothing else was written."""


def record_dispute(*, word: PspDispute, charge: Operation, caller: Caller) -> RecordedDispute:
    """Record what a PSP says of a dispute and everything that follows, in one transaction.

    A word that says nothing new, or speaks of a status left behind, only puts off the next look.
    Raises PaymentNotCaptured, having written nothing.
    """
    with transaction.atomic(durable=True):
        intent = PaymentIntent.objects.select_for_update().get(pk=charge.intent_id)
        charge.refresh_from_db()  # As it stands under the lock.
        dispute = _locked_dispute(charge.psp_account_id, word.psp_dispute_id)
        return _record(intent, charge, dispute, word, caller)


def record_response(
    *,
    response: DisputeResponse,
    result: DisputeResult,
    caller: Caller,
    renderer: Renderer | None = None,
    sender_lease: datetime | None = None,
) -> Answer | None:
    """Record what became of a response, and the PSP's word that came with it, in one transaction.

    A result for a response that is closed changes nothing. With a renderer, the request's final
    answer is stored under its key, unless nothing was sent: then the key may be used again.

    `sender_lease` is the lease under which it was sent. If it has passed to somebody else, "not
    sent" says nothing any more: the sweep may have sent the same request meanwhile.
    """
    with transaction.atomic(durable=True):
        key = idempotency.lock_key(response)
        row = Dispute.objects.select_related("charge").get(pk=response.dispute_id)
        intent = PaymentIntent.objects.select_for_update().get(pk=row.intent_id)
        dispute = Dispute.objects.select_for_update().get(pk=row.id)
        response = DisputeResponse.objects.select_for_update().get(pk=response.id)
        if response.is_open:
            if sender_lease not in (None, response.lease_until):
                result = _doubted_if_not_sent(result)
            now = now_utc()
            shown_before = dispute_object(dispute, now=now)
            _close_response(response, dispute, result, now)
            _write_answered(intent, dispute, shown_before, caller, now)
            if result.dispute is not None:
                _record(intent, row.charge, dispute, result.dispute, caller)
        if renderer is None:
            return None
        if response.status == ResponseStatus.NOT_SENT:
            _reopen_key(key)
            return None
        subject = Subject(intent=intent, dispute=dispute, response=response)
        if key is None:
            return renderer(subject, caller)
        if key.answer_status is not None:
            return idempotency.stored_answer(key)
        batch = Batch()
        answer = renderer(subject, idempotency.caller_of(caller, key))
        answer = idempotency.put_answer(batch, key, answer)
        batch.execute()
        return answer


def _locked_dispute(psp_account_id: UUID, psp_dispute_id: str) -> Dispute | None:
    rows = Dispute.objects.select_for_update()
    return rows.filter(psp_account_id=psp_account_id, psp_dispute_id=psp_dispute_id).first()


def _record(
    intent: PaymentIntent,
    charge: Operation,
    dispute: Dispute | None,
    word: PspDispute,
    caller: Caller,
) -> RecordedDispute:
    """Intent and dispute are locked; a dispute that is not there yet is guarded by its index."""
    if dispute is not None and is_old_news(dispute, word):
        _put_off(dispute)
        return RecordedDispute(dispute)
    try:
        _require_possible(intent, charge, dispute, word)
    except ContradictoryWord as contradiction:
        _open_contradiction(intent, dispute, word, str(contradiction))
        return RecordedDispute(dispute, str(contradiction))
    if dispute is None and not was_ever_captured(intent):
        raise PaymentNotCaptured(f"nothing of {intent.public_id} is captured yet")
    now = now_utc()
    is_new = dispute is None
    if dispute is None:
        dispute = _new_dispute(intent, charge, word, caller)
        charge.latest_dispute_id = intent.latest_dispute_id = dispute.id
        Batch().insert(dispute).update(charge, ("latest_dispute_id",)).execute()
    status_before = dispute.status
    shown_before = {} if is_new else dispute_object(dispute, now=now)
    _walk(dispute, word, now)
    change = DisputeChange(
        merchant=caller.merchant,
        psp_account_code=psp_account_of(dispute.psp_account_id).code,
        intent=intent,
        charge=charge,
        dispute=dispute,
        word=word,
        is_new=is_new,
        status_before=status_before,
        shown_before=shown_before,
        charged_back_beside=charged_back_of(charge, without=dispute).amount,
        booked=frozenset() if is_new else rules_posted("dispute", dispute.id),
        now=now,
    )
    apply_word(change)
    _write(change, caller)
    return RecordedDispute(dispute)


def _require_possible(
    intent: PaymentIntent, charge: Operation, dispute: Dispute | None, word: PspDispute
) -> None:
    """Raises ContradictoryWord for a word that cannot be about this dispute of this charge."""
    if {intent.currency, charge.currency} != {word.amount.currency} or word.amount.minor <= 0:
        raise ContradictoryWord(f"{word.amount} of a payment in {intent.currency}")
    require_possible_fee(word)
    target = DisputeStatus(word.status.value)
    if dispute is None:
        statuses_on_the_way(first_status(word), target)
        return
    if dispute.charge_id != charge.id:
        raise ContradictoryWord("it was about another charge")
    require_same_dispute(dispute, word)
    statuses_on_the_way(DisputeStatus(dispute.status), target)


def _new_dispute(
    intent: PaymentIntent, charge: Operation, word: PspDispute, caller: Caller
) -> Dispute:
    identifier = public_ids.new_id()
    created_at = time_of(identifier)
    status = first_status(word)
    return Dispute(
        id=identifier,
        merchant_id=intent.merchant_id,
        livemode=intent.livemode,
        intent_id=intent.id,
        charge_id=charge.id,
        psp_account_id=charge.psp_account_id,
        psp_dispute_id=word.psp_dispute_id,
        status=status.value,
        began_as_inquiry=word.began_as_inquiry,
        amount_minor=word.amount.minor,
        currency=word.amount.currency,
        reason=word.reason[:64],
        network_reason_code=word.network_reason_code[:32],
        loss_policy=caller.merchant.dispute_loss_policy,
        closed_at=None if status in DISPUTE_OPEN else created_at,
        opened_at=word.opened_at,
        created_at=created_at,
        updated_at=created_at,
    )


def _walk(dispute: Dispute, word: PspDispute, now: datetime) -> None:
    """Let PostgreSQL see every legal step."""
    target = DisputeStatus(word.status.value)
    for status in statuses_on_the_way(DisputeStatus(dispute.status), target):
        take_step(dispute, status, now)
        Batch().update(dispute, _STEP_FIELDS).execute()


def _write(change: DisputeChange, caller: Caller) -> None:
    """Books, rows, events and cases of a change; nothing at all if it changes nothing."""
    dispute, intent = change.dispute, change.intent
    _post(change)
    dispute.updated_at = intent.updated_at = change.now
    batch = Batch().update(dispute, _DISPUTE_FIELDS)
    shown = dispute_object(dispute, now=change.now)
    facts = [Fact(type_, shown, previous) for type_, previous in facts_of(change, shown)]
    if facts or change.postings:
        events = events_of(intent, facts, caller)
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


def _put_off(dispute: Dispute) -> None:
    dispute.next_look_at = next_look(dispute, now_utc())
    dispute.save(update_fields=["next_look_at"])


def _open_contradiction(
    intent: PaymentIntent, dispute: Dispute | None, word: PspDispute, why: str
) -> None:
    """Nothing is booked: a person compares both."""
    subject = dispute.public_id if dispute is not None else f"dispute {word.psp_dispute_id}"[:128]
    summary = f"Dispute {word.psp_dispute_id} at the provider: {why}."
    amount = dispute.amount if dispute is not None else intent.amount
    open_case(
        case_about_intent(CaseKind.CONTRADICTION, intent, summary, subject=subject, amount=amount)
    )
    if dispute is not None:
        _put_off(dispute)


def _doubted_if_not_sent(result: DisputeResult) -> DisputeResult:
    if result.outcome is not Outcome.NOT_SENT:
        return result
    detail = f"not sent by a sender whose lease was over: {result.detail}"
    return DisputeResult(outcome=Outcome.UNKNOWN, detail=detail)


def _close_response(
    response: DisputeResponse, dispute: Dispute, result: DisputeResult, now: datetime
) -> None:
    """What became of the response, and of the slot that it had taken."""
    if not (result.outcome is Outcome.UNKNOWN and response.status == ResponseStatus.UNKNOWN):
        _SAY[result.outcome](response)
    response.code, response.message = result.code[:64], result.message[:500]
    response.detail = result.detail[:500]
    if response.is_open:
        step = CHECK_SCHEDULE_SECONDS[min(response.checks, len(CHECK_SCHEDULE_SECONDS) - 1)]
        response.checks += 1
        response.next_check_at = now + timedelta(seconds=step)
        response.lease_until = now
    else:
        response.closed_at, response.next_check_at = now, None
    Batch().update(response, _RESPONSE_FIELDS).execute()
    if response.is_open:
        return
    is_evidence = response.kind == DisputeResponse.Kind.EVIDENCE
    if response.status == ResponseStatus.SUCCEEDED:
        if is_evidence:
            dispute.submitted_at = now
        return
    if dispute.is_open:
        dispute.next_look_at = now  # Why was it refused? The dispute may have moved on.
    if is_evidence and dispute.answered_stage == response.stage:
        dispute.answered_stage = ""
        dispute.submission_count = dispute.responses.filter(
            kind=DisputeResponse.Kind.EVIDENCE, status__in=RESPONSE_HOLDS
        ).count()
        dispute.next_reminder_at = next_reminder(dispute, now)


def _write_answered(
    intent: PaymentIntent,
    dispute: Dispute,
    shown_before: dict[str, Any],
    caller: Caller,
    now: datetime,
) -> None:
    """The row; and an event if the merchant sees a difference, for it may have had its answer."""
    dispute.updated_at = intent.updated_at = now
    batch = Batch().update(dispute, _DISPUTE_FIELDS)
    shown = dispute_object(dispute, now=now)
    previous = previous_attributes(shown_before, shown)
    if previous:
        events = events_of(intent, [Fact("charge.dispute.updated", shown, previous)], caller)
        batch.update(intent, ("event_seq", "updated_at")).insert(*events)
    batch.execute()


def _reopen_key(key: IdempotencyKey | None) -> None:
    """Nothing was sent: the same request may come again at once."""
    if key is not None and key.answer_status is None:
        key.lease_until = now_utc()
        key.save(update_fields=["lease_until"])
