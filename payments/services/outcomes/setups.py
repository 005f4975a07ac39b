"""Records the result of a setup attempt, wherever it came from, in one transaction.

Lock order: idempotency key, setup intent, attempt, customer, payment method. No money moves, so a
result for an attempt that is closed changes nothing.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import models, transaction

from ledger.database.statements import Batch
from payments.clock import now_utc
from payments.models import IdempotencyKey, SetupAttempt, SetupIntent
from payments.objects.setup_intent import setup_intent_object
from payments.services.callers.caller import Answer, Caller, SetupRenderer, SetupSubject
from payments.services.idempotency import keys
from payments.services.outbox.events import EventDraft, events_of
from payments.services.outcomes.check_schedule import (
    CHECK_SCHEDULE_SECONDS,
    unknown_if_lease_passed,
)
from payments.services.outcomes.checkout_sessions import drafts_of_setup_session
from payments.services.outcomes.mandates import settle_mandate
from payments.services.outcomes.saved_methods import keep_method
from payments.states import SetupAttemptStatus, SetupStatus
from psp_adapters.contract.operations import REQUEST_REFUSED, Outcome
from psp_adapters.contract.setups import SetupResult

SETUP_FIELDS: Final = (
    *("status", "psp_account", "payment_method", "customer", "latest_attempt_id"),
    *("mandate_id", "next_action_url"),
    *("last_setup_error", "cancellation_reason", "canceled_at", "event_seq", "updated_at"),
)
ATTEMPT_FIELDS: Final = (
    *("status", "psp_id", "network_transaction_id", "code", "decline_code", "message", "detail"),
    *("lease_until", "next_check_at", "checks", "closed_at"),
)
_NOT_MADE: Final = "The setup did not reach the payment provider. It can be tried again."
_WENT_ELSEWHERE: Final = "The setup did not reach this provider. It went to another one."
_NOT_KEPT: Final = (
    "The payment method was verified, but its customer was deleted or the method was detached "
    "meanwhile, so it is not kept."
)


@dataclass(slots=True)
class RecordedSetup:
    """The rows after a result was recorded, and the answer of the request; None without one."""

    subject: SetupSubject
    answer: Answer | None
    next_attempt: SetupAttempt | None = None
    """The attempt at another account that was written in place of one that kept nothing."""


@dataclass(slots=True)
class SetupChange:
    """What one result does to locked rows."""

    setup: SetupIntent
    attempt: SetupAttempt
    result: SetupResult
    caller: Caller
    accepted: bool
    """Whether the merchant may have been told that it is being processed."""
    batch: Batch

    def fail(self, *, code: str, message: str) -> None:
        """Give the setup intent back to the merchant, for another payment method."""
        self.setup.fail()
        self.setup.next_action_url = ""
        self.setup.payment_method_id = None
        self.setup.last_setup_error = _last_setup_error(self.attempt, code=code, message=message)
        self.emit("setup_intent.setup_failed")

    def emit(self, type_: str) -> None:
        """Write an event with the setup intent as it stands, and that of its session's end."""
        draft = EventDraft(type_, setup_intent_object(self.setup))
        drafts = [draft, *drafts_of_setup_session(self.setup)]
        self.batch.insert(*events_of(self.setup, drafts, self.caller))


@dataclass(frozen=True, slots=True, kw_only=True)
class NextSetup:
    """An unsaved attempt at another account, and the unsaved rows that belong to it."""

    attempt: SetupAttempt
    rows: tuple[models.Model, ...]


SetupElsewhere = Callable[[SetupChange], NextSetup | None]
"""Makes the next attempt of a locked setup intent; None if there is no account for it."""


def record_setup(
    *,
    attempt: SetupAttempt,
    result: SetupResult,
    caller: Caller,
    renderer: SetupRenderer | None = None,
    sender_lease: datetime | None = None,
    was_accepted: Callable[[], bool] = bool,
    elsewhere: SetupElsewhere | None = None,
) -> RecordedSetup:
    """Record the first result of an open attempt, and everything that follows from it.

    With a renderer, the request's final answer is stored under its key, unless nothing was sent:
    then the key may be used again. `sender_lease` is the lease under which it was sent.
    `was_accepted`: may the merchant have been told that it is being processed? What was not sent
    then counts as failed. `elsewhere` makes an attempt at another account, if this one certainly
    kept nothing: the setup intent then goes on with it.
    """
    with transaction.atomic(durable=True):
        key, setup, attempt = _locked(attempt)
        batch = Batch()
        if attempt.is_open:
            result = unknown_if_lease_passed(
                result, sender_lease=sender_lease, lease_until=attempt.lease_until
            )
            accepted = was_accepted() or (key is not None and key.answer_status is not None)
            change = SetupChange(setup, attempt, result, caller, accepted, batch)
            following = _following(change, key, elsewhere)
            if following is not None:
                _move_on(change, following, key)
                subject = SetupSubject(setup_intent=setup, attempt=following.attempt)
                return RecordedSetup(subject, None, following.attempt)
            _apply(change)
        if attempt.status == SetupAttemptStatus.NOT_SENT and renderer is not None:
            keys.reopen(key)
            renderer = None
        subject = SetupSubject(setup_intent=setup, attempt=attempt)
        if renderer is not None:
            batch.execute()  # What is expanded is read back: it must show this change.
            batch = Batch()
        answer = keys.answer_under_key(batch, key, subject, caller, renderer)
        batch.execute()
    return RecordedSetup(subject, answer)


def give_up_challenge(attempt: SetupAttempt, caller: Caller) -> None:
    """Close an attempt whose customer never came back; the setup intent takes another method."""
    with transaction.atomic(durable=True):
        _, setup, attempt = _locked(attempt)
        if attempt.status != SetupAttemptStatus.REQUIRES_ACTION:
            return
        batch = Batch()
        change = SetupChange(
            setup, attempt, SetupResult(outcome=Outcome.UNKNOWN), caller, True, batch
        )
        withdraw(attempt, batch)
        change.fail(
            code="setup_intent_authentication_failure",
            message="The customer did not complete the bank's challenge in time.",
        )
        _write(change)
        batch.execute()


def withdraw(attempt: SetupAttempt, batch: Batch) -> None:
    """Close a locked attempt that waits for its customer; the caller writes ATTEMPT_FIELDS."""
    attempt.withdraw()
    settle_mandate(batch, attempt.mandate_id, kept=False)
    _close_or_schedule(attempt, None)


def _locked(attempt: SetupAttempt) -> tuple[IdempotencyKey | None, SetupIntent, SetupAttempt]:
    """Key, setup intent and attempt, locked in this order."""
    key = keys.lock_key(attempt)
    setup = SetupIntent.objects.select_for_update().get(pk=attempt.setup_intent_id)
    return key, setup, SetupAttempt.objects.select_for_update().get(pk=attempt.pk)


def _following(
    change: SetupChange, key: IdempotencyKey | None, elsewhere: SetupElsewhere | None
) -> NextSetup | None:
    """The attempt to go on with, after the first answer to a request that was sent once.

    What was unknown for a moment never goes on, however it ended. None if this is the end.
    """
    attempt, setup = change.attempt, change.setup
    lost_its_key = attempt.idempotency_id is not None and key is None
    may_go_on = (
        change.result.may_be_set_up_elsewhere
        and not change.accepted
        and not lost_its_key
        and attempt.status == SetupAttemptStatus.SENDING
        and attempt.checks == 0
        and setup.status == SetupStatus.PROCESSING
        and setup.latest_attempt_id == attempt.id
    )
    return elsewhere(change) if elsewhere is not None and may_go_on else None


def _move_on(change: SetupChange, following: NextSetup, key: IdempotencyKey | None) -> None:
    """End the attempt, and write the following one: the setup intent is never between the two."""
    setup, attempt = change.setup, change.attempt
    attempt.detail = change.result.detail
    attempt.psp_id = change.result.psp_id or attempt.psp_id
    if change.result.outcome is Outcome.DECLINED:
        _decline(change)
    else:
        attempt.drop()
        attempt.code, attempt.message = "processing_error", _WENT_ELSEWHERE
    _close_or_schedule(attempt, None)
    # Written first: only one attempt may be open, and each is at the setup intent's account.
    Batch().update(attempt, ATTEMPT_FIELDS).execute()
    begun = Batch()
    for row in following.rows:
        begun.insert(row)
    setup.psp_account_id = following.attempt.psp_account_id
    setup.payment_method_id = following.attempt.payment_method_id
    setup.latest_attempt_id = following.attempt.id
    setup.updated_at = now_utc()
    begun.update(setup, SETUP_FIELDS).insert(following.attempt)
    if key is not None:
        keys.pass_on(begun, key, operation_id=following.attempt.id)
    begun.execute()


def _apply(change: SetupChange) -> None:
    attempt, result = change.attempt, change.result
    attempt.detail = result.detail
    attempt.psp_id = result.psp_id or attempt.psp_id
    _EFFECTS[result.outcome](change)
    _close_or_schedule(attempt, result.retry_after_seconds)
    if not attempt.is_open:
        is_kept = change.setup.status == SetupStatus.SUCCEEDED
        settle_mandate(change.batch, attempt.mandate_id, kept=is_kept)
    _write(change)


def _write(change: SetupChange) -> None:
    change.setup.updated_at = now_utc()
    change.batch.update(change.setup, SETUP_FIELDS).update(change.attempt, ATTEMPT_FIELDS)


def _succeeded(change: SetupChange) -> None:
    setup, attempt = change.setup, change.attempt
    attempt.succeed()
    attempt.network_transaction_id = change.result.network_transaction_id
    kept = keep_method(
        change.batch,
        method_id=attempt.payment_method_id,
        customer_id=attempt.customer_id,
        network_transaction_id=attempt.network_transaction_id,
        stored_token=change.result.stored_token,
        caller=change.caller,
    )
    if not kept:
        change.fail(code="payment_method_unexpected_state", message=_NOT_KEPT)
        return
    setup.succeed()
    setup.mandate_id = attempt.mandate_id
    setup.next_action_url = ""
    setup.last_setup_error = None
    change.emit("setup_intent.succeeded")


def _declined(change: SetupChange) -> None:
    _decline(change)
    change.fail(code=change.attempt.code, message=change.attempt.message)


def _decline(change: SetupChange) -> None:
    attempt, result = change.attempt, change.result
    attempt.decline()
    attempt.code = result.code or "card_declined"
    attempt.decline_code = result.decline_code
    attempt.message = result.message or "The payment method was declined."


def _requires_action(change: SetupChange) -> None:
    if change.attempt.status == SetupAttemptStatus.REQUIRES_ACTION:
        return
    change.attempt.await_customer()
    change.setup.await_customer(redirect_url=change.result.redirect_url)
    change.emit("setup_intent.requires_action")


def _unknown(change: SetupChange) -> None:
    if change.attempt.status == SetupAttemptStatus.SENDING:
        change.attempt.mark_unknown()


def _not_sent(change: SetupChange) -> None:
    attempt = change.attempt
    attempt.drop()
    if not change.accepted:
        change.setup.await_confirmation()
        return
    attempt.code, attempt.message = "processing_error", _NOT_MADE
    change.fail(code=attempt.code, message=attempt.message)


_EFFECTS: Final[dict[Outcome, Callable[[SetupChange], None]]] = {
    Outcome.SUCCEEDED: _succeeded,
    Outcome.DECLINED: _declined,
    Outcome.REQUIRES_ACTION: _requires_action,
    Outcome.PENDING: _unknown,
    Outcome.UNKNOWN: _unknown,
    Outcome.NOT_SENT: _not_sent,
}


def _close_or_schedule(attempt: SetupAttempt, look_in_seconds: float | None) -> None:
    now = attempt.lease_until = now_utc()
    if not attempt.is_open:
        attempt.closed_at, attempt.next_check_at = now, None
        return
    step = CHECK_SCHEDULE_SECONDS[min(attempt.checks, len(CHECK_SCHEDULE_SECONDS) - 1)]
    attempt.checks += 1
    wait_seconds = look_in_seconds or step * random.uniform(0.5, 1.5)
    attempt.next_check_at = now + timedelta(seconds=wait_seconds)


def _last_setup_error(attempt: SetupAttempt, *, code: str, message: str) -> dict[str, Any]:
    type_ = "invalid_request_error" if code == REQUEST_REFUSED else "card_error"
    error: dict[str, Any] = {"type": type_, "code": code, "message": message}
    if attempt.decline_code:
        error["decline_code"] = attempt.decline_code
    error["payment_method_id"] = str(attempt.payment_method_id)
    error["payment_method_details"] = attempt.payment_method_details
    return error
