"""Hands the stored notifications of an account to the adapter of a PSP that has no look-ups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from django.db import DatabaseError

from ledger.database.statements import execute, release_connection, table_of
from payments.models import DisputeResponse, Operation, PspNotification
from payments.services.psp_gateway.references import operation_id_of
from payments.states import BLOCKING_RESPONSE
from psp_adapters.contract.operations import PspUnavailable
from psp_adapters.contract.stored_notifications import SentResponse, StoredNotification

_READ: Final = (
    "SELECT event_id, type, psp_payment_id, our_references ->> 0, occurred_at, body "
    f"FROM {table_of(PspNotification)} WHERE states_result AND psp_account_id = %s AND "
)
_ABOUT_DISPUTES: Final = f"{_READ} psp_dispute_id = ANY(%s)"
_ABOUT: Final = f"{_READ} psp_payment_id = ANY(%s) UNION {_READ} (our_references ->> 0) = ANY(%s)"


@dataclass(frozen=True, slots=True)
class NotificationsOfAccount:
    """What look-ups at one PSP account read; holds no connection of a pool afterwards."""

    account_id: UUID

    def about(
        self, *, psp_payment_ids: Sequence[str] = (), references: Sequence[str] = ()
    ) -> Sequence[StoredNotification]:
        """All that name one of these payments or one of these references, in any order.

        Raises PspUnavailable if they cannot be read now.
        """
        account = self.account_id
        return _read(_ABOUT, [account, list(psp_payment_ids), account, list(references)])

    def about_disputes(self, psp_dispute_ids: Sequence[str]) -> Sequence[StoredNotification]:
        """All that are about one of these disputes, in any order; raises PspUnavailable."""
        return _read(_ABOUT_DISPUTES, [self.account_id, list(psp_dispute_ids)])

    def responses_to(self, psp_dispute_id: str) -> Sequence[SentResponse]:
        """Our responses to a dispute, oldest first, but for those that certainly were not taken."""
        rows = DisputeResponse.objects.filter(
            dispute__psp_account_id=self.account_id,
            dispute__psp_dispute_id=psp_dispute_id,
            status__in=sorted(BLOCKING_RESPONSE),
        )
        found = [
            SentResponse(
                reference=each.public_id,
                accepts=each.kind == DisputeResponse.Kind.ACCEPTANCE,
                written_at=each.created_at,
            )
            for each in rows.order_by("id")
        ]
        release_connection()
        return found

    def was_sale(self, reference: str) -> bool:
        """Whether our charge of this reference, at this account, asked to capture at once."""
        identifier = operation_id_of(reference)
        if identifier is None:
            return False
        rows = Operation.objects.filter(pk=identifier, psp_account_id=self.account_id)
        found: bool = rows.filter(capture_now=True).exists()
        release_connection()
        return found


def _read(statement: str, parameters: Sequence[object]) -> list[StoredNotification]:
    try:
        rows = execute(statement, parameters)
    except DatabaseError as error:
        raise PspUnavailable(f"stored notifications: {type(error).__name__}") from error
    finally:
        release_connection()
    return [
        StoredNotification(
            event_id=event_id,
            type=type_,
            psp_payment_id=psp_payment_id,
            reference=reference or "",
            occurred_at=occurred_at,
            body=bytes(body),
        )
        for event_id, type_, psp_payment_id, reference, occurred_at, body in rows
    ]
