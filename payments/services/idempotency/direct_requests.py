"""Runs a command that sends nothing to a PSP: key, change and answer commit together.

Commands that move money run in three phases instead (commands.run).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, cast, overload

from django.db import transaction

from ledger.database.statements import Batch
from payments.services.callers.caller import (
    Answer,
    Caller,
    CommandRequest,
    Prepare,
    Prepared,
    prepared_by,
)
from payments.services.idempotency import keys

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectTx:
    """The transaction of a direct command; what is put into `batch` is written at its end."""

    caller: Caller
    batch: Batch
    prepared: Prepared


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectResult(Generic[R]):
    """The row as it now stands (None if a stored answer is replayed), and the answer."""

    row: R | None = None
    answer: Answer | None = None


Body = Callable[Concatenate[DirectTx, P], R]
Verb = Callable[Concatenate[CommandRequest[R], P], DirectResult[R]]


@overload
def direct_command(body: Body[P, R], /) -> Verb[R, P]: ...
@overload
def direct_command(*, prepare: Prepare) -> Callable[[Body[P, R]], Verb[R, P]]: ...


def direct_command(body: Any = None, /, *, prepare: Prepare | None = None) -> Any:
    """Make a body, which returns the row it is about, a command that takes a CommandRequest.

    It runs once per idempotency key; a repeat gets the first answer. A refusal of the body rolls
    everything back, the key too. `prepare` looks something up before the transaction, for
    `tx.prepared`.
    """
    if body is None:
        return lambda late_body: _run_directly(late_body, prepare)
    return _run_directly(body, prepare)


def _run_directly(body: Body[P, R], prepare: Prepare | None) -> Verb[R, P]:
    @wraps(body)
    def run(request: CommandRequest[R], *args: P.args, **kwargs: P.kwargs) -> DirectResult[R]:
        caller = request.caller
        prepared = prepared_by(prepare, caller, kwargs)
        with transaction.atomic(durable=True):
            claim = keys.claim(caller)
            if claim is not None and claim.answer is not None:
                return DirectResult(answer=claim.answer)
            tx = DirectTx(caller=caller, batch=Batch(), prepared=prepared)
            row = body(tx, *args, **kwargs)
            key = claim.row if claim is not None else None
            answer = keys.answer_under_key(tx.batch, key, row, caller, request.render)
            tx.batch.execute()
        return DirectResult(row=row, answer=answer)

    return cast(Verb[R, P], run)
