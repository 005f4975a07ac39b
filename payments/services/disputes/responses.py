"""Sends stored dispute responses, and resolves those whose outcome is unknown.

Evidence is accepted once, and an acceptance is final. So a response keeps its key at the PSP
for ever: an unknown one is looked up, and only the same request is ever sent again.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final
from uuid import UUID

from django.db import connection, transaction

from ledger.database.statements import Batch
from payments.clock import now_utc
from payments.exceptions import PspNotReached
from payments.models import Dispute, DisputeResponse, PspAccount
from payments.services import callers
from payments.services.callers.caller import Caller, CommandRequest, CommandResult, Subject
from payments.services.cases.opening import case_about_intent, open_case
from payments.services.disputes.response_recording import record_response
from payments.services.idempotency import keys
from payments.services.jobs.due_queue import DueQueue, Handled, run_sweep
from payments.services.psp_gateway import accounts, dispute_calls, sending
from payments.services.psp_gateway.bulkhead import bulkhead_of
from payments.services.psp_gateway.circuit_breaker import CallRefused
from payments.states import DISPUTE_OPEN, DISPUTE_UNANSWERED, CaseKind, ResponseStatus
from psp_adapters.contract.disputes import DisputeResult, PspDispute
from psp_adapters.contract.operations import Outcome, PspUnavailable

ACTOR: Final = "job:disputes"
SWEEP_LIMIT: Final = 50
SWEEP_SECONDS: Final = 10.0
QUEUE: Final = DueQueue(
    DisputeResponse.objects.all(),
    due="next_check_at",
    lease=timedelta(seconds=keys.LEASE_SECONDS),
    lease_until="lease_until",
)
WINDOW_SHARE: Final = 0.9
"""The same key is sent again only well inside the PSP's idempotency window. Later than a charge may
be repeated: evidence is as welcome an hour later, and its slot takes one submission only."""
_DEADLINE_LEAST_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class WrittenResponse:
    """A response that transaction 1 has written down, or found there."""

    response: DisputeResponse
    by_earlier_run: bool = False
    """Of the same request, which was cut off: find out about it instead of sending it."""


def execute_response(written: WrittenResponse, request: CommandRequest[Subject]) -> CommandResult:
    """Send a response that was written down, record what became of it, and answer.

    Waits for the PSP as long as the caller does; the sweep looks up what is unknown then. Called
    outside any transaction. Raises PspNotReached if nothing was sent.
    """
    response, caller = written.response, request.caller
    if written.by_earlier_run:
        return _finish_earlier(response, request)
    dispute = Dispute.objects.select_related("psp_account").get(pk=response.dispute_id)
    connection.close()
    result = dispute_calls.send(
        response,
        dispute.psp_account,
        dispute.psp_dispute_id,
        deadline_seconds=_seconds_for(caller),
    )
    recorded = record_response(
        response=response,
        result=result,
        caller=caller,
        renderer=request.render,
        sender_lease=response.lease_until,
    )
    if recorded.response is None or recorded.response.status == ResponseStatus.NOT_SENT:
        raise _not_reached(result)
    return recorded


def resolve_due_responses(*, limit: int = SWEEP_LIMIT) -> int:
    """Find out the outcomes of the responses whose check is due; returns how many were taken.

    Bounded in number and time. Safe to repeat, and several workers may run it at once.
    """
    return run_sweep(QUEUE, _resolve_due, most=limit, seconds=SWEEP_SECONDS)


def resolve_response(response_id: UUID, *, actor: str) -> bool:
    """Find out the outcome of one response now; False if a worker holds it or it is closed."""
    response = QUEUE.take_row(response_id)
    if response is not None:
        _resolve(response, actor=actor)
    return response is not None


def _resolve_due(response: DisputeResponse) -> Handled:
    _resolve(response, actor=ACTOR)
    return Handled.ANSWERED


def _finish_earlier(response: DisputeResponse, request: CommandRequest[Subject]) -> CommandResult:
    """Answer a request whose earlier run wrote a response and was cut off."""
    if response.is_open:
        _resolve_within(response, request.caller)
    with transaction.atomic(durable=True):
        key = keys.lock_key(response)
        response = DisputeResponse.objects.select_related("dispute__intent").get(pk=response.id)
        dispute = response.dispute
        is_answered = key is not None and key.answer_status is not None
        if response.status == ResponseStatus.NOT_SENT and not is_answered:
            raise _not_reached(None)
        subject = Subject(intent=dispute.intent, dispute=dispute, response=response)
        batch = Batch()
        answer = keys.answer_under_key(batch, key, subject, request.caller, request.render)
        batch.execute()
    return CommandResult.of(subject, answer)


def _resolve_within(response: DisputeResponse, caller: Caller) -> None:
    """Look it up, as long as the request may wait; the look-up goes on after that."""
    dispute = Dispute.objects.only("id", "psp_account_id").get(pk=response.dispute_id)
    bulkhead = bulkhead_of(accounts.identity_of(dispute.psp_account_id).code)
    resolve = partial(resolve_response, response.id, actor=caller.actor)
    bulkhead.run_within(resolve, answer_by=caller.answer_by_monotonic)


def _resolve(response: DisputeResponse, *, actor: str) -> None:
    """Ask, repeat the same request where that is safe, and record; the lease is ours."""
    dispute = Dispute.objects.select_related("psp_account", "charge").get(pk=response.dispute_id)
    caller = callers.for_operation(dispute.charge, actor)
    connection.close()
    result = _find_out(response, dispute.psp_account, dispute)
    record_response(response=response, result=result, caller=caller)
    if result.outcome is Outcome.UNKNOWN and not _may_repeat(response, dispute.psp_account):
        _open_case(response, dispute, result)


def _find_out(response: DisputeResponse, account: PspAccount, dispute: Dispute) -> DisputeResult:
    """Look up or repeat the response; UNKNOWN at worst."""
    try:
        statement = dispute_calls.ask(account, dispute.psp_dispute_id)
    except (PspUnavailable, CallRefused) as error:
        return _unknown(f"the provider could not be asked: {error}")
    if statement is None:
        return _unknown("the provider does not find the dispute")
    shown = _result_shown_by(response, statement)
    if shown is not None:
        return shown
    if not _may_repeat(response, account):
        return _unknown("not found, and too late to send the same request again", statement)
    repeated = dispute_calls.send(
        response,
        account,
        dispute.psp_dispute_id,
        deadline_seconds=sending.LOOKUP_DEADLINE_SECONDS,
    )
    if repeated.outcome is Outcome.NOT_SENT:
        # Says nothing about the first request, which may still arrive.
        return _unknown(f"the repeat was not sent: {repeated.detail}", statement)
    return repeated


def _result_shown_by(response: DisputeResponse, statement: PspDispute) -> DisputeResult | None:
    """The result that the dispute itself shows; None while the response may still arrive."""
    if response.public_id in (*statement.submissions, statement.acceptance):
        return DisputeResult(outcome=Outcome.SUCCEEDED, dispute=statement)
    if response.kind == DisputeResponse.Kind.EVIDENCE:
        # Evidence is accepted once: not after other evidence, and not after the decision.
        refused = statement.status not in DISPUTE_UNANSWERED
    else:
        refused = statement.status not in DISPUTE_OPEN
    if not refused and not _has_escalated(response, statement):
        return None
    return DisputeResult(
        outcome=Outcome.DECLINED,
        dispute=statement,
        code="dispute_unexpected_state",
        message="The dispute was answered or decided otherwise.",
        detail=f"the provider says {statement.status}, and does not know our response",
    )


def _has_escalated(response: DisputeResponse, statement: PspDispute) -> bool:
    """Did the inquiry become a chargeback? Our answer would lose it, or use its only evidence."""
    return response.answers_inquiry and not statement.is_inquiry


def _may_repeat(response: DisputeResponse, account: PspAccount) -> bool:
    age_seconds = (now_utc() - response.created_at).total_seconds()
    window_seconds = accounts.adapter_of(account).capabilities.idempotency_window_seconds
    return age_seconds < window_seconds * WINDOW_SHARE


def _open_case(response: DisputeResponse, dispute: Dispute, result: DisputeResult) -> None:
    summary = f"{response.public_id} ({response.kind}) of {dispute.public_id}: {result.detail}"
    with transaction.atomic(durable=True):
        intent = Dispute.objects.select_related("intent").get(pk=dispute.pk).intent
        case = case_about_intent(
            CaseKind.OUTCOME_UNKNOWN,
            intent,
            summary,
            subject=response.public_id,
            amount=dispute.amount,
        )
        open_case(case)


def _unknown(detail: str, statement: PspDispute | None = None) -> DisputeResult:
    return DisputeResult(outcome=Outcome.UNKNOWN, dispute=statement, detail=detail)


def _seconds_for(caller: Caller) -> float:
    if caller.answer_by_monotonic is None:
        return sending.CALL_DEADLINE_SECONDS
    left = caller.answer_by_monotonic - time.monotonic()
    return min(max(left, _DEADLINE_LEAST_SECONDS), sending.CALL_DEADLINE_SECONDS)


def _not_reached(result: DisputeResult | None) -> PspNotReached:
    retry_after_seconds = result.retry_after_seconds if result is not None else None
    return PspNotReached(
        "The payment provider could not be reached; nothing was sent. "
        "Please try the same request again.",
        retry_after_seconds=retry_after_seconds or 1.0,
    )
