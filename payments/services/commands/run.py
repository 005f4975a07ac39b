"""Runs a command once per idempotency key: executes it, replays the stored answer, or resumes.

The API, jobs and the console call the same decorated verb with a CommandRequest. A repeat resumes
where an earlier run of the same request was cut off.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, ParamSpec, overload
from uuid import UUID

from django.db import transaction

from ledger.database.row_ids import new_row_id
from ledger.database.statements import Batch
from payments.models import Operation
from payments.services.callers.caller import (
    CommandRequest,
    CommandResult,
    Prepare,
    Prepared,
    SetupSubject,
    Subject,
    prepared_by,
)
from payments.services.commands.charge_guards import named_refusals
from payments.services.commands.failover import RoutedCharge
from payments.services.commands.open_challenges import end_challenge
from payments.services.commands.setups.failover import RoutedSetup
from payments.services.commands.transaction import CommandTx
from payments.services.disputes import responses
from payments.services.idempotency import keys
from payments.services.operations import execution
from payments.services.operations import setups as setup_execution
from payments.services.recovery import setups as setup_recovery
from payments.services.recovery import sweep as recovery_sweep

P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class EarlierAttempt:
    """A setup attempt that an earlier run of the same request wrote and may have sent."""

    attempt_id: UUID


Written = Operation | RoutedCharge | responses.WrittenResponse | Subject
"""What a body returns: an operation or a dispute response to be sent, or, if nothing is sent, the
subject as written."""
SetupWritten = RoutedSetup | EarlierAttempt | SetupSubject
"""The same of a body about a setup intent."""
Body = Callable[Concatenate[CommandTx, P], Written]
Verb = Callable[Concatenate[CommandRequest[Subject], P], CommandResult]
SetupBody = Callable[Concatenate[CommandTx, P], SetupWritten]
SetupVerb = Callable[Concatenate[CommandRequest[SetupSubject], P], CommandResult]
_AnyBody = Callable[Concatenate[CommandTx, P], Written | SetupWritten]
Begun = (
    Operation
    | RoutedCharge
    | responses.WrittenResponse
    | RoutedSetup
    | EarlierAttempt
    | CommandResult
    | keys.Claim
)


@overload
def command(body: Body[P], /) -> Verb[P]: ...
@overload
def command(
    *, prepare: Prepare | None = None, creates_intent: bool = False
) -> Callable[[Body[P]], Verb[P]]: ...


def command(
    body: Any = None, /, *, prepare: Prepare | None = None, creates_intent: bool = False
) -> Any:
    """Make a body, which checks and writes in transaction 1, a command for a CommandRequest.

    Refusals of the body roll everything back, the claim too: nothing is stored for them.
    `prepare` looks something up before the transaction, for `tx.prepared`. Raises PspNotReached
    if nothing was sent, and IdempotencyKeyReused or IdempotencyKeyInUse.
    """
    if body is None:
        return lambda late_body: _runner(late_body, prepare, creates_intent)
    return _runner(body, prepare, creates_intent)


@overload
def setup_command(body: SetupBody[P], /) -> SetupVerb[P]: ...
@overload
def setup_command(*, prepare: Prepare) -> Callable[[SetupBody[P]], SetupVerb[P]]: ...


def setup_command(body: Any = None, /, *, prepare: Prepare | None = None) -> Any:
    """`command` for a body about a setup intent."""
    if body is None:
        return lambda late_body: _runner(late_body, prepare, creates_intent=False)
    return _runner(body, prepare, creates_intent=False)


def _runner(body: _AnyBody[P], prepare: Prepare | None, creates_intent: bool) -> Any:
    @wraps(body)
    def run(request: CommandRequest[Any], *args: P.args, **kwargs: P.kwargs) -> CommandResult:
        prepared = prepared_by(prepare, request.caller, kwargs)

        def write(tx: CommandTx) -> Written | SetupWritten:
            return body(tx, *args, **kwargs)

        begun = _begin(request, prepared, write, creates_intent=creates_intent)
        while isinstance(begun, Operation | keys.Claim) and begun.ends_challenge:
            end_challenge(begun, request)
            begun = _begin(request, prepared, write, challenge_ended=True)
        if isinstance(begun, CommandResult):
            return begun
        if isinstance(begun, keys.Claim):
            return _finish_earlier_run(begun, request)
        if isinstance(begun, Operation):
            return execution.execute(begun, request)
        if isinstance(begun, RoutedCharge):
            return execution.execute(begun.charge, request, elsewhere=begun.elsewhere)
        if isinstance(begun, RoutedSetup):
            return setup_execution.execute_setup(begun.attempt, request, elsewhere=begun.elsewhere)
        if isinstance(begun, EarlierAttempt):
            return _finish_earlier_attempt(begun.attempt_id, request)
        return responses.execute_response(begun, request)

    return run


def _begin(
    request: CommandRequest[Any],
    prepared: Prepared,
    write: Callable[[CommandTx], Written | SetupWritten],
    *,
    creates_intent: bool = False,
    challenge_ended: bool = False,
) -> Begun:
    """Run transaction 1: the answer, what the body wrote to be sent, or an earlier run's claim."""
    caller = request.caller
    with named_refusals(caller), transaction.atomic(durable=True):
        operation_id, new_intent_id = new_row_id(), new_row_id()
        claimed_intent_id = new_intent_id if creates_intent else None
        claim = keys.claim(caller, operation_id=operation_id, intent_id=claimed_intent_id)
        if claim is not None and claim.answer is not None:
            return CommandResult(answer=claim.answer)
        if claim is not None and claim.has_operation:
            return claim
        tx = CommandTx(
            caller=caller,
            operation_id=operation_id,
            new_intent_id=new_intent_id,
            earlier_intent_id=_taken_over(claim, operation_id, new_intent_id),
            claim=claim,
            prepared=prepared,
            challenge_ended=challenge_ended,
        )
        written = write(tx)
        if isinstance(written, Subject | SetupSubject):
            return _answer_at_once(written, claim, request)
    return written


def _taken_over(claim: keys.Claim | None, operation_id: UUID, new_intent_id: UUID) -> UUID | None:
    """Point the claim of an interrupted run at this one; returns the intent that it had made."""
    if claim is None or claim.fresh:
        return None
    intent_id = claim.row.intent_id
    keys.take_over(claim, operation_id=operation_id, intent_id=intent_id or new_intent_id)
    return intent_id


def _answer_at_once(
    subject: Subject | SetupSubject, claim: keys.Claim | None, request: CommandRequest[Any]
) -> CommandResult:
    batch, key = Batch(), claim.row if claim is not None else None
    answer = keys.answer_under_key(batch, key, subject, request.caller, request.render)
    batch.execute()
    return CommandResult.of(subject, answer)


def _finish_earlier_run(claim: keys.Claim, request: CommandRequest[Subject]) -> CommandResult:
    """Look up what an earlier run left open, and answer from its operation."""
    operation_id = claim.open_operation_id or claim.closed_operation_id
    assert operation_id is not None, "an earlier run left an operation"
    caller = request.caller
    if claim.open_operation_id is not None:
        recovery_sweep.resolve_within(
            operation_id, actor=caller.actor, answer_by_monotonic=caller.answer_by_monotonic
        )
    return execution.result_as_it_stands(operation_id, request)


def _finish_earlier_attempt(
    attempt_id: UUID, request: CommandRequest[SetupSubject]
) -> CommandResult:
    """Look up a setup attempt that an earlier run left, and answer from it."""
    caller = request.caller
    setup_recovery.resolve_setup_within(
        attempt_id, actor=caller.actor, answer_by_monotonic=caller.answer_by_monotonic
    )
    return setup_execution.setup_as_it_stands(attempt_id, request)
