"""Makes look-ups at a PSP, with a circuit breaker separate from that of money moves.

A look-up that closes the circuit makes every unknown operation of that account due now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, TypeVar
from uuid import UUID

from django.db import transaction

from ledger.database.statements import execute, release_connection, table_of
from payments.models import Operation, PspAccount
from payments.services.psp_gateway.accounts import (
    AccountIdentity,
    adapter_of,
)
from payments.services.psp_gateway.circuit_breaker import CallKind, CallRefused, guarded_call
from payments.services.psp_gateway.sending import LOOKUP_DEADLINE_SECONDS
from payments.states import OPERATION_OUTCOME_UNKNOWN
from psp_adapters.contract.adapter import PspAdapter
from psp_adapters.contract.operations import PspUnavailable
from psp_adapters.registry import BadCredentials

T = TypeVar("T")


_before_each: Final[ContextVar[Callable[[], None] | None]] = ContextVar("look_ups", default=None)


@contextmanager
def before_each_look_up(do: Callable[[], None]) -> Iterator[None]:
    """Call `do` before each look-up that this thread makes; what it raises prevents that."""
    token = _before_each.set(do)
    try:
        yield
    finally:
        _before_each.reset(token)


class Inconclusive(Exception):
    """A look-up settled nothing (yet): repeat it later."""

    @property
    def is_unanswered(self) -> bool:
        """Whether the PSP gave no answer, or could not be called."""
        return isinstance(self.__cause__, PspUnavailable | CallRefused)


def look_up(
    account: PspAccount | AccountIdentity,
    query: Callable[[PspAdapter, float], T | None],
    *,
    what: str,
) -> T:
    """What the PSP answers to `query(adapter, deadline_seconds)`; `what` names it in errors.

    Holds no pooled connection during the call. Raises Inconclusive if the PSP gives no answer,
    cannot be asked with our credentials, or does not find it.
    """
    try:
        adapter = adapter_of(account)
    except BadCredentials as reason:
        raise Inconclusive(f"the provider could not be asked: {reason}") from reason
    before = _before_each.get()
    if before is not None:
        before()
    release_connection()
    try:
        found = query_psp(account, lambda: query(adapter, LOOKUP_DEADLINE_SECONDS))
    except (PspUnavailable, CallRefused) as error:
        raise Inconclusive(f"the provider could not be asked: {error}") from error
    if found is None:
        raise Inconclusive(f"the provider does not find the {what} (yet)")
    return found


def query_psp(account: PspAccount | AccountIdentity, query: Callable[[], T]) -> T:
    """Run one query through the circuit breaker; no database connection may be held meanwhile.

    Raises CallRefused if the circuit is open, and whatever the query raises.
    """
    with guarded_call(account.code, CallKind.RECOVERY) as verdict:
        answer = query()
        verdict.healthy = True
    if verdict.closed_circuit:
        make_unknown_outcomes_due(account.id)
        release_connection()  # Another query may follow.
    return answer


def make_unknown_outcomes_due(psp_account_id: UUID) -> int:
    """Make every waiting operation in doubt at the account due now; returns how many.

    Skips those whose lease a sender or a look-up holds.
    """
    with transaction.atomic(durable=True):
        rows = execute(
            f"UPDATE {table_of(Operation)} SET next_check_at = now() WHERE id IN ("
            f"SELECT id FROM {table_of(Operation)} WHERE next_check_at > now() "
            "AND psp_account_id = %s AND status = ANY(%s) AND lease_until <= now() "
            "FOR UPDATE SKIP LOCKED) RETURNING id",
            [psp_account_id, sorted(OPERATION_OUTCOME_UNKNOWN)],
        )
    return len(rows)
