"""Finds out the outcome of one open operation.

Looks it up, repeats it with the same key, or has the PSP refuse that key from now on (a fence).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Final, Literal

from django.conf import settings
from django.db import connection

from payments.clock import now_utc
from payments.models import Operation
from payments.services.outcomes.replacement import begin_sending, was_made_after_all
from payments.services.psp_gateway import accounts, sending
from payments.services.psp_gateway.queries import query_psp
from payments.services.recovery.payment_sync import conflict
from payments.states import OPERATION_OPEN, OPERATION_OUTCOME_UNKNOWN, OperationStatus
from psp_adapters.contract.adapter import PspAdapter
from psp_adapters.contract.operations import Outcome, PspResult

REPEAT_WITHIN_SECONDS: Final = 60.0
"""The same key is sent again only this soon: later the customer would not expect to be charged."""


WINDOW_SHARE: Final = 0.9
"""… and only well inside the PSP's idempotency window, where a repeat cannot be a new charge."""


CHECKS_BEFORE_FENCE: Final = 3
"""From this check on it is fenced and not repeated: some PSPs keep a 5xx as the answer of its key,
and would answer the same for as long as we repeat."""


class Resolution:
    """Finds out what became of one open operation, as far as the PSP can tell."""

    def __init__(
        self,
        operation: Operation,
        adapter: PspAdapter,
        *,
        may_act: bool,
        returned: Mapping[str, str] | None = None,
    ) -> None:
        self._operation = operation
        self._adapter = adapter
        self._may_act = may_act
        self._lookup = replace(sending.lookup_of(operation), returned=returned or {})
        self._account = accounts.identity_of(operation.psp_account_id)

    def find_out(self) -> PspResult:
        """The outcome; UNKNOWN at worst. Raises PspUnavailable, or CallRefused if not asked."""
        operation, adapter = self._operation, self._adapter
        if operation.awaits_first_sending:
            return self._send_first()
        deadline_seconds = sending.LOOKUP_DEADLINE_SECONDS
        found = query_psp(
            self._account,
            lambda: adapter.look_up(self._lookup, deadline_seconds=deadline_seconds),
        )
        if found is not None:
            return self._fitting(found)
        if operation.status not in OPERATION_OUTCOME_UNKNOWN:
            return self._as_it_was()
        if not self._may_act:
            return still_unknown("not found, and the provider contradicts us: see the case")
        can_fence = adapter.capabilities.fence_by_reference
        repeat_may_help = operation.checks < CHECKS_BEFORE_FENCE or not can_fence
        if repeat_may_help and _may_repeat(operation, adapter):
            return _repeat(operation)
        if not can_fence:
            return still_unknown("not found, and the provider cannot forbid a late arrival")
        fenced = query_psp(
            self._account,
            lambda: adapter.fence(self._lookup, deadline_seconds=deadline_seconds),
        )
        if fenced is not None:
            return self._fitting(fenced)
        if operation.fenced_at is None:
            _note_time(operation, "fenced_at")
        return self._never_arrived()

    def _as_it_was(self) -> PspResult:
        """The PSP had accepted it, and does not show it."""
        if not self._adapter.capabilities.states_results_by_notification:
            return still_unknown("the provider no longer finds an operation that it had accepted")
        if self._operation.status == OperationStatus.REQUIRES_ACTION:
            return PspResult(outcome=Outcome.REQUIRES_ACTION)  # The customer is still away.
        return still_unknown("accepted, and no notification has stated its result")

    def _send_first(self) -> PspResult:
        """Send a replacement. If that certainly failed, it is sent at the next check again."""
        operation = self._operation
        if not self._may_act:
            return still_unknown("not sent: the provider contradicts us, see the case")
        if not was_made_after_all(operation) and self._has_made_the_replaced_one():
            return still_unknown("not sent: the provider has the operation that it replaces")
        why_not = begin_sending(operation)
        connection.close()
        if why_not is None:
            return still_unknown("not sent: it was canceled, or another worker sends it")
        if why_not:
            return PspResult(outcome=Outcome.NOT_SENT, detail=f"not sent: {why_not}")
        result = sending.send(operation)
        if result.outcome is not Outcome.NOT_SENT:
            return result
        rows = Operation.objects.filter(pk=operation.pk, fenced_at=None)
        rows.filter(resent_at=operation.resent_at).update(resent_at=None)
        connection.close()
        return still_unknown(f"not sent: {result.detail}", result.retry_after_seconds)

    def _has_made_the_replaced_one(self) -> bool:
        """Ask the PSP once more: a fence that does not hold would make it twice."""
        replaced_id = self._operation.replaces_id
        assert replaced_id is not None, "only a replacement is sent here"
        replaced = Operation.objects.get(pk=replaced_id)
        connection.close()
        look_up = sending.lookup_of(replaced)
        deadline_seconds = sending.LOOKUP_DEADLINE_SECONDS
        found = query_psp(
            self._account,
            lambda: self._adapter.look_up(look_up, deadline_seconds=deadline_seconds),
        )
        if found is None or found.outcome is Outcome.DECLINED:
            return False
        make_payment_due(replaced)
        return True

    def _fitting(self, found: PspResult) -> PspResult:
        result = sending.unknown_if_amount_differs(self._operation, found)
        if result.outcome is Outcome.UNKNOWN and found.outcome is not Outcome.UNKNOWN:
            conflict(self._operation, result.detail)
        return result

    def _never_arrived(self) -> PspResult:
        """NOT_SENT once no request of ours can still arrive, or have arrived unseen."""
        operation = self._operation
        sent_at = operation.resent_at or operation.created_at
        lag_seconds = self._adapter.capabilities.consistency_lag_seconds
        certain_at = sent_at + timedelta(seconds=lag_seconds + sending.CALL_DEADLINE_SECONDS)
        wait_seconds = (certain_at - now_utc()).total_seconds()
        if wait_seconds > 0:
            return still_unknown("forbidden at the provider; it may be there unseen", wait_seconds)
        return PspResult(
            outcome=Outcome.NOT_SENT, detail="never arrived; forbidden at the provider"
        )


def _repeat(operation: Operation) -> PspResult:
    """Send the same request with the same key again.

    A repeat that never left says nothing about the first request, which may still arrive.
    """
    if not _note_time(operation, "resent_at", if_status_in=OPERATION_OPEN):
        return still_unknown("not repeated: it was closed meanwhile")
    result = sending.send(operation)
    if result.outcome is Outcome.NOT_SENT:
        return still_unknown(f"the repeat was not sent: {result.detail}")
    if result.outcome is Outcome.DECLINED and not result.psp_id:
        # Refused without becoming an operation at the PSP: true of the repeat, not of the first.
        return still_unknown(f"the repeat was refused: {result.detail}")
    return result


def _note_time(
    operation: Operation,
    column: Literal["resent_at", "fenced_at"],
    *,
    if_status_in: Collection[str] = tuple(OperationStatus),
) -> bool:
    """Set the column to now, if the row's status allows it; holds no database connection after."""
    now = now_utc()
    rows = Operation.objects.filter(pk=operation.pk, status__in=sorted(if_status_in))
    is_noted = rows.update(**{column: now}) > 0
    setattr(operation, column, now)
    connection.close()
    return is_noted


def make_payment_due(operation: Operation) -> None:
    """Have the operation's payment synced by the next sweep."""
    charge_id = operation.charge_id or operation.id
    Operation.objects.filter(pk=charge_id).update(next_check_at=now_utc())
    connection.close()


def _may_repeat(operation: Operation, adapter: PspAdapter) -> bool:
    """Whether the same key may be sent again.

    At a PSP without look-ups a repeat alone tells whether it has a change or refund, which are
    accepted for the merchant already: so until they would be given up.
    """
    if operation.fenced_at is not None:
        return False
    most_seconds = REPEAT_WITHIN_SECONDS
    if adapter.capabilities.states_results_by_notification and not operation.is_charge:
        most_seconds = timedelta(hours=settings.CARRY_OUT_WITHIN_HOURS).total_seconds()
    age_seconds = (now_utc() - operation.created_at).total_seconds()
    window_seconds = adapter.capabilities.idempotency_window_seconds * WINDOW_SHARE
    return age_seconds < min(most_seconds, window_seconds)


def still_unknown(detail: str, check_in_seconds: float | None = None) -> PspResult:
    return PspResult(outcome=Outcome.UNKNOWN, detail=detail, retry_after_seconds=check_in_seconds)
