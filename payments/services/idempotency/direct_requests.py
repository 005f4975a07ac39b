"""Requests that ask no PSP: claim the key, do, answer, all in one transaction.

What may not live here: money moves (services.moves has them in three phases).
"""

from __future__ import annotations

from typing import Protocol, TypeVar

from django.db import transaction

from ledger.database.statements import Batch
from payments.services.callers.caller import Answer, Caller
from payments.services.idempotency import keys

S = TypeVar("S", contravariant=True)


class DirectRenderer(Protocol[S]):
    """Renders the answer about one saved or about-to-be-saved row; reads only."""

    def __call__(self, subject: S, caller: Caller, /) -> Answer: ...


class Work(Protocol):
    """Checks, fills the batch, and returns the answer. A refusal rolls everything back."""

    def __call__(self, batch: Batch) -> Answer: ...


def answer_once(caller: Caller, work: Work) -> Answer:
    """Do the work once per idempotency key; a repeat gets the first answer.

    The key, the change and the answer commit together, so nothing is ever half done. Refusals of
    the work store nothing, not even the key.
    """
    with transaction.atomic(durable=True):
        held = keys.claim(caller)
        if held is not None and held.answer is not None:
            return held.answer
        batch = Batch()
        answer = work(batch)
        if held is not None:
            answer = keys.put_answer(batch, held.row, answer)
        batch.execute()
    return answer
