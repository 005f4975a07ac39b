"""Ask the PSP what became of one operation, without waiting for whoever is sending it.

Only a question, and the one door: nothing is sent again and nothing is forbidden, so it is safe
beside a living sender. Whichever word comes second finds the operation closed, under the locks of
the door. What may not live here: repeating, fencing (services.recovery does), what a word causes.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

from django.db import connection

from payments.models import Operation
from payments.services import psp
from payments.services.breakers import CallKind, Refusal, guarded_call
from payments.services.outcomes import record_outcome
from payments.services.recovery import caller_of
from payments.states import OPERATION_OPEN
from payments.states import OperationStatus as S
from psp_adapters.contract import Outcome, PspResult, PspUnavailable

_OPEN_OUTCOMES: Final = frozenset({Outcome.PENDING, Outcome.REQUIRES_ACTION})
# Where an operation may stand if the PSP's word is this one.
_AGREES: Final = {
    Outcome.PENDING: frozenset({S.PENDING}),
    Outcome.REQUIRES_ACTION: frozenset({S.REQUIRES_ACTION}),
    Outcome.SUCCEEDED: frozenset({S.SUCCEEDED}),
    Outcome.DECLINED: frozenset({S.DECLINED, S.CANCELED, S.NOT_SENT, S.TAKEN_BACK}),
}


class NotYetKnown(Exception):
    """The PSP could not say (yet): ask again later."""


class Contradicted(Exception):
    """The PSP says one thing and our closed operation another: a person must look."""


def look_at_operation(operation_id: UUID, *, actor: str) -> None:
    """Bring one operation to where the PSP says it is.

    Holds no connection of a pool while asking. Raises NotYetKnown or Contradicted; a word that
    changes nothing is fine.
    """
    operation = Operation.objects.get(pk=operation_id)
    result = _ask(operation)
    operation.refresh_from_db()
    if operation.is_open and agrees(operation, result.outcome):
        return  # Nothing new; recording it again would only put off the next check.
    caller = caller_of(operation, actor)
    recorded = record_outcome(operation=operation, result=result, caller=caller)
    assert recorded.subject.operation is not None, "an outcome is recorded for an operation"
    _require_agreement(recorded.subject.operation, result)


def agrees(operation: Operation, outcome: Outcome) -> bool:
    """Does our operation stand where this word of the PSP would bring it?"""
    return operation.status in _AGREES.get(outcome, ())


def _ask(operation: Operation) -> PspResult:
    account = psp.psp_account_of(operation.psp_account_id)
    adapter = psp.adapter_of(account)
    question = psp.question_of(operation)
    if connection.settings_dict["OPTIONS"].get("pool"):
        connection.close()  # A worker's only connection is nobody else's, and costly to open.
    try:
        with guarded_call(account.code, CallKind.RECOVERY) as verdict:
            found = adapter.look_up(question, deadline_seconds=psp.QUESTION_DEADLINE_SECONDS)
            verdict.healthy = True
    except (PspUnavailable, Refusal) as error:
        raise NotYetKnown(f"the provider could not be asked: {error}") from error
    if found is None:
        raise NotYetKnown("the provider does not find the operation (yet)")
    if found.outcome is Outcome.UNKNOWN:
        raise NotYetKnown(f"the provider's answer is no answer: {found.detail}")
    result = psp.doubted_unless_it_fits(operation, found)
    if result.outcome is Outcome.UNKNOWN:
        raise Contradicted(f"{operation.public_id}: {result.detail}")
    return result


def _require_agreement(operation: Operation, result: PspResult) -> None:
    if operation.status in OPERATION_OPEN or agrees(operation, result.outcome):
        return  # The door has just written it.
    if result.outcome in _OPEN_OUTCOMES:
        raise NotYetKnown("the provider's word was overtaken while we asked")
    raise Contradicted(
        f"{operation.public_id} is {operation.status}, the provider says {result.outcome}"
    )
