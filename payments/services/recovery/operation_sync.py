"""Ask the PSP what became of one operation, without waiting for whoever is sending it.

Only a question, and the one door: nothing is sent again and nothing is forbidden, so it is safe
beside a living sender. Whichever word comes second finds the operation closed, under the locks of
the door. What may not live here: repeating, fencing (services.recovery does), what a word causes.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

from payments.models import Operation
from payments.services import callers
from payments.services.outcomes.recording import Disposition, record_outcome
from payments.services.recovery.questions import (
    Contradicted,
    NotYetKnown,
    ask,
    contradiction,
    look_at_closed,
)
from payments.states import OperationStatus as S
from psp_adapters.contract.operations import Outcome

# Where an operation may stand if the PSP's word is this one.
_AGREES: Final = {
    Outcome.PENDING: frozenset({S.PENDING}),
    Outcome.REQUIRES_ACTION: frozenset({S.REQUIRES_ACTION}),
    Outcome.SUCCEEDED: frozenset({S.SUCCEEDED, S.EXCESS}),
    Outcome.DECLINED: frozenset({S.DECLINED, S.CANCELED, S.NOT_SENT, S.TAKEN_BACK}),
}


def look_at_operation(operation_id: UUID, *, actor: str) -> None:
    """Bring one operation, open or closed, to where the PSP says it is.

    Holds no connection of a pool while asking. Raises NotYetKnown or Contradicted; a word that
    changes nothing is fine.
    """
    operation = Operation.objects.get(pk=operation_id)
    if not operation.is_open:
        look_at_closed(operation, actor=actor)
        return
    result = ask(operation)
    operation.refresh_from_db()
    if operation.is_open and agrees(operation, result.outcome):
        return  # Nothing new; recording it again would only put off the next check.
    caller = callers.for_operation(operation, actor)
    recorded = record_outcome(operation=operation, result=result, caller=caller)
    if recorded.disposition is Disposition.DEFERRED:
        raise NotYetKnown(recorded.why)


def agrees(operation: Operation, outcome: Outcome) -> bool:
    """Does our operation stand where this word of the PSP would bring it?"""
    return operation.status in _AGREES.get(outcome, ())


__all__ = ["Contradicted", "NotYetKnown", "agrees", "contradiction", "look_at_operation"]
