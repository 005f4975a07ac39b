"""Ask a PSP what became of an operation, and bring a closed one to where the PSP says it is.

An answer to a question may be overtaken while it travels. So of a closed operation only that word
counts which was asked for under the operation's lease, by one at a time; every other word that
differs has the operation asked about again, and so has every change. What may not live here:
sending, repeating, fencing, what a word causes.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import transaction

from ledger.database.statements import execute, table_of
from payments.models import Operation
from payments.services import callers
from payments.services.cases.opening import case_about_operation, open_case
from payments.services.idempotency.keys import LEASE_SECONDS
from payments.services.outcomes.recording import Disposition, record_outcome
from payments.services.psp_gateway import accounts, sending
from payments.services.psp_gateway.circuit_breaker import CallRefused
from payments.services.psp_gateway.queries import ask_psp, give_connection_back
from payments.states import OPERATION_OPEN, CaseKind
from psp_adapters.contract.operations import Outcome, PspResult, PspUnavailable


class NotYetKnown(Exception):
    """The PSP could not say (yet): ask again later."""

    @property
    def is_silence(self) -> bool:
        """Did it give no answer at all, or could it not be asked?"""
        return isinstance(self.__cause__, PspUnavailable | CallRefused)


class Contradicted(Exception):
    """The PSP's word cannot be recorded beside ours: a person must look. A case is open."""


def ask(operation: Operation) -> PspResult:
    """The PSP's present word on an operation; holds no connection of a pool while asking.

    Raises NotYetKnown, or Contradicted if the word speaks of another amount.
    """
    account = accounts.psp_account_of(operation.psp_account_id)
    adapter = accounts.adapter_of(account)
    question = sending.lookup_of(operation)
    give_connection_back()
    deadline_seconds = sending.LOOKUP_DEADLINE_SECONDS
    try:
        found = ask_psp(
            account, lambda: adapter.look_up(question, deadline_seconds=deadline_seconds)
        )
    except (PspUnavailable, CallRefused) as error:
        raise NotYetKnown(f"the provider could not be asked: {error}") from error
    if found is None:
        raise NotYetKnown("the provider does not find the operation (yet)")
    if found.outcome is Outcome.UNKNOWN:
        raise NotYetKnown(f"the provider's answer is no answer: {found.detail}")
    result = sending.unknown_if_amount_differs(operation, found)
    if result.outcome is Outcome.UNKNOWN:
        raise contradiction(operation, result.detail)
    return result


def contradiction(operation: Operation, why: str) -> Contradicted:
    """Open a case about a word that cannot be recorded; returns what is to be raised."""
    with transaction.atomic(durable=True):
        open_case(case_about_operation(CaseKind.CONTRADICTION, operation, f"{why}."))
    return Contradicted(f"{operation.public_id}: {why}")


def look_at_closed(operation: Operation, *, actor: str, lease: datetime | None = None) -> None:
    """Bring a closed operation to where the PSP says it is.

    `lease` is the operation's lease if the caller has it. Raises NotYetKnown or Contradicted; a
    word that changes nothing is fine.
    """
    lease = lease or _lease(operation.id)
    if lease is None:
        raise NotYetKnown("somebody else is asking about it")
    try:
        result = ask(operation)
    except NotYetKnown:
        _give_back(operation.id, lease)
        raise
    recorded = record_outcome(
        operation=operation,
        result=result,
        caller=callers.for_operation(operation, actor),
        look_lease=lease,
    )
    if recorded.disposition is Disposition.DEFERRED:
        raise NotYetKnown(recorded.why)
    if recorded.disposition is Disposition.CONFLICT:
        raise contradiction(operation, recorded.why)


def _lease(operation_id: UUID) -> datetime | None:
    with transaction.atomic(durable=True):
        rows = execute(
            f"UPDATE {table_of(Operation)} SET lease_until = now() + make_interval(secs => %s) "
            "WHERE id = %s AND status <> ALL(%s) AND lease_until <= now() RETURNING lease_until",
            [LEASE_SECONDS, operation_id, sorted(OPERATION_OPEN)],
        )
    return rows[0][0] if rows else None


def _give_back(operation_id: UUID, lease: datetime) -> None:
    with transaction.atomic(durable=True):
        execute(
            f"UPDATE {table_of(Operation)} SET lease_until = now() "
            "WHERE id = %s AND lease_until = %s",
            [operation_id, lease],
        )
