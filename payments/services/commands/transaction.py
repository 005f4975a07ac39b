"""Transaction 1 of a command: locks the intent, makes the operation, writes both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from ledger.database.statements import Batch, columns_of, execute, instance_of, table_of
from ledger.money import Money
from payments import public_ids
from payments.clock import now_utc
from payments.exceptions import ResourceMissing
from payments.models import Operation, PaymentIntent
from payments.selectors.scope import INTENT
from payments.services.callers.caller import Caller, Prepared
from payments.services.idempotency import keys
from payments.services.operations import creation
from psp_adapters.contract.operations import OperationKind


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandTx:
    """What the body of a command works with: its caller, fresh ids, and the claim of its key."""

    caller: Caller
    operation_id: UUID
    new_intent_id: UUID
    earlier_intent_id: UUID | None
    """The intent that an earlier, interrupted run of this request made; None on the first run."""
    claim: keys.Claim | None
    prepared: Prepared
    challenge_ended: bool
    """True once this request has had the PSP end an open challenge: it tries that only once."""

    @property
    def idempotency_id(self) -> UUID | None:
        return self.claim.row.id if self.claim is not None else None

    def lock_intent(self, intent_id: UUID, *, param: str = INTENT.param) -> PaymentIntent:
        """The caller's intent, locked until the transaction ends.

        Raises ResourceMissing, which names `param`: where the request has the intent's id.
        """
        return locked_intent(self.caller, intent_id, param=param)

    def new_operation(self, kind: OperationKind, intent: PaymentIntent, amount: Money) -> Operation:
        """The unsaved operation of this command, under its key and leased to this process."""
        return creation.new_operation(
            kind=kind,
            intent=intent,
            amount_minor=amount.minor,
            caller=self.caller,
            operation_id=self.operation_id,
            idempotency_id=self.idempotency_id,
        )

    def write(
        self, intent: PaymentIntent, operation: Operation, fields: Sequence[str]
    ) -> Operation:
        """Write these fields of the locked intent, and the operation that changes it."""
        intent.updated_at = now_utc()
        Batch().update(intent, (*fields, "updated_at")).insert(operation).execute()
        return operation


def locked_intent(caller: Caller, intent_id: UUID, *, param: str = INTENT.param) -> PaymentIntent:
    """The caller's intent, locked until the transaction ends; raises ResourceMissing."""
    sql = (
        f"SELECT {columns_of(PaymentIntent)} FROM {table_of(PaymentIntent)} "
        "WHERE id = %s AND merchant_id = %s AND livemode = %s FOR UPDATE"
    )
    rows = execute(sql, [intent_id, caller.merchant.id, caller.livemode])
    if not rows:
        public_id = public_ids.encode(public_ids.PAYMENT_INTENT, intent_id)
        raise ResourceMissing(f"No such payment_intent: '{public_id}'", param=param)
    return instance_of(PaymentIntent, rows[0])
