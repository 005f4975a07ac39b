"""Records the result of a response to a dispute, with the statement that came with it.

All of it is one transaction. Lock order: idempotency key, intent, dispute,
response.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from django.db import transaction

from ledger.database.statements import Batch
from payments.clock import now_utc
from payments.models import Dispute, DisputeResponse, PaymentIntent
from payments.objects.dispute import dispute_object
from payments.services.callers.caller import Caller, CommandResult, Renderer, Subject
from payments.services.disputes.effects import next_reminder
from payments.services.disputes.recording import (
    DISPUTE_FIELDS,
    record_statement,
)
from payments.services.idempotency import keys
from payments.services.outbox.events import EventDraft, events_of, previous_attributes
from payments.services.outcomes.check_schedule import (
    CHECK_SCHEDULE_SECONDS,
    unknown_if_lease_passed,
)
from payments.states import BLOCKING_RESPONSE, ResponseStatus
from psp_adapters.contract.disputes import DisputeResult
from psp_adapters.contract.operations import Outcome

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
_TRANSITION: Final = {
    Outcome.SUCCEEDED: DisputeResponse.succeed,
    Outcome.DECLINED: DisputeResponse.decline,
    Outcome.NOT_SENT: DisputeResponse.drop,
    Outcome.UNKNOWN: DisputeResponse.mark_unknown,
}


def record_response(
    *,
    response: DisputeResponse,
    result: DisputeResult,
    caller: Caller,
    renderer: Renderer | None = None,
    sender_lease: datetime | None = None,
) -> CommandResult:
    """Record the result of a response, and the PSP's statement that came with it.

    A result for a response that is closed changes nothing. With a renderer, the request's final
    answer is stored under its key, unless nothing was sent: then the key may be used again.

    `sender_lease` is the lease under which it was sent. If another worker has it by now,
    "not sent" counts as unknown: the sweep may have sent the same request.
    """
    with transaction.atomic(durable=True):
        key = keys.lock_key(response)
        row = Dispute.objects.select_related("charge").get(pk=response.dispute_id)
        intent = PaymentIntent.objects.select_for_update().get(pk=row.intent_id)
        dispute = Dispute.objects.select_for_update().get(pk=row.id)
        response = DisputeResponse.objects.select_for_update().get(pk=response.id)
        if response.is_open:
            result = unknown_if_lease_passed(
                result, sender_lease=sender_lease, lease_until=response.lease_until
            )
            now = now_utc()
            shown_before = dispute_object(dispute, now=now)
            _close_response(response, dispute, result, now)
            _write_answered(intent, dispute, shown_before, caller, now)
            if result.dispute is not None:
                record_statement(intent, row.charge, dispute, result.dispute, caller)
        if response.status == ResponseStatus.NOT_SENT and renderer is not None:
            keys.reopen(key)
            renderer = None
        subject = Subject(intent=intent, dispute=dispute, response=response)
        batch = Batch()
        answer = keys.answer_under_key(batch, key, subject, caller, renderer)
        batch.execute()
    return CommandResult.of(subject, answer)


def _close_response(
    response: DisputeResponse, dispute: Dispute, result: DisputeResult, now: datetime
) -> None:
    """Write the result to the response, and free its evidence slot if it failed."""
    if not (result.outcome is Outcome.UNKNOWN and response.status == ResponseStatus.UNKNOWN):
        _TRANSITION[result.outcome](response)
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
        dispute.next_sync_at = now  # The dispute may have moved on: sync it to learn why.
    if is_evidence and dispute.answered_stage == response.stage:
        dispute.answered_stage = ""
        dispute.submission_count = dispute.responses.filter(
            kind=DisputeResponse.Kind.EVIDENCE, status__in=BLOCKING_RESPONSE
        ).count()
        dispute.next_reminder_at = next_reminder(dispute, now)


def _write_answered(
    intent: PaymentIntent,
    dispute: Dispute,
    shown_before: dict[str, Any],
    caller: Caller,
    now: datetime,
) -> None:
    """Write the dispute, with an event if it shows a difference."""
    dispute.updated_at = intent.updated_at = now
    batch = Batch().update(dispute, DISPUTE_FIELDS)
    shown = dispute_object(dispute, now=now)
    previous = previous_attributes(shown_before, shown)
    if previous:
        events = events_of(intent, [EventDraft("charge.dispute.updated", shown, previous)], caller)
        batch.update(intent, ("event_seq", "updated_at")).insert(*events)
    batch.execute()
