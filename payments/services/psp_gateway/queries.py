"""Ask a PSP a question about what it did: behind a circuit of its own, apart from what moves money.

Whoever finds the PSP well again makes what waits for it due, whatever was asked. What may not live
here: which question, what an answer means or causes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

from django.db import connection, transaction

from ledger.database.statements import execute, table_of
from payments.models import Operation, PspAccount
from payments.services.psp_gateway.circuit_breaker import CallKind, guarded_call
from payments.states import OPERATION_IN_DOUBT

T = TypeVar("T")


def ask_psp(account: PspAccount, question: Callable[[], T]) -> T:
    """The answer to one question; no database connection may be held meanwhile.

    Raises CallRefused if the PSP must not be asked now, and whatever the question raises.
    """
    with guarded_call(account.code, CallKind.RECOVERY) as verdict:
        answer = question()
        verdict.healthy = True
    if verdict.closed_circuit:
        pull_forward(account.id)
        give_connection_back()  # There may be more to ask.
    return answer


def give_connection_back() -> None:
    """Let others have this thread's connection while the PSP is asked.

    A worker's only connection is nobody else's, and costly to open: it is kept.
    """
    if connection.settings_dict["OPTIONS"].get("pool"):
        connection.close()


def pull_forward(psp_account_id: UUID) -> int:
    """The PSP is well again: what is in doubt there and waits is due at once; how many there are.

    What somebody is sending or asking about just now is left to them.
    """
    with transaction.atomic(durable=True):
        rows = execute(
            f"UPDATE {table_of(Operation)} SET next_check_at = now() WHERE id IN ("
            f"SELECT id FROM {table_of(Operation)} WHERE next_check_at > now() "
            "AND psp_account_id = %s AND status = ANY(%s) AND lease_until <= now() "
            "FOR UPDATE SKIP LOCKED) RETURNING id",
            [psp_account_id, sorted(OPERATION_IN_DOUBT)],
        )
    return len(rows)
