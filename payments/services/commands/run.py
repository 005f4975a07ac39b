"""One request, once: claim its key, begin, carry out; or replay, resume, answer what a crash left.

Every command goes through `move`. What may not live here: what a command checks or writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from django.db import IntegrityError, transaction

from ledger.database.statements import Batch, columns_of, execute, instance_of, table_of
from payments import public_ids
from payments.exceptions import OperationUnderWay, OrderAlreadyPaid, ResourceMissing
from payments.models import Operation, PaymentIntent
from payments.services.callers.caller import Answer, Caller, Renderer, Subject
from payments.services.idempotency import keys
from payments.services.operations import execution
from payments.services.recovery import sweep as recovery_sweep


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What a command stands on in transaction 1: fresh ids, and the claim it works under."""

    caller: Caller
    renderer: Renderer
    operation_id: UUID
    intent_id: UUID | None
    """The intent that this very request made before it was cut off; None the first time."""
    new_intent_id: UUID
    held: keys.Claim | None

    @property
    def idempotency_id(self) -> UUID | None:
        return self.held.row.id if self.held is not None else None

    def answer(self, batch: Batch, subject: Subject) -> Answer:
        """Answer now, without a PSP: write the batch, then render what stands, then the answer."""
        batch.execute()
        answer = self.renderer(subject, self.caller)
        if self.held is None:
            return answer
        last = Batch()
        answer = keys.put_answer(last, self.held.row, answer)
        last.execute()
        return answer


class Begin(Protocol):
    """Check and write down inside transaction 1; return what is to be sent, or the answer.

    What is to be sent is an Operation, unless `move` was told how to carry out something else.
    """

    def __call__(self, ground: Ground) -> Any: ...


def move(
    *,
    caller: Caller,
    renderer: Renderer,
    begin: Begin,
    creates_intent: bool = False,
    carry_out: Callable[[Any, Caller, Renderer], Answer] | None = None,
) -> Answer:
    """Run one request under its idempotency key, from wherever an earlier run of it stopped.

    `carry_out` sends what `begin` wrote down, if that is not an operation.
    Refusals of `begin` roll everything back, the claim too: nothing is stored for them.
    """
    ground: Ground | None = None
    with _named_refusals(caller), transaction.atomic(durable=True):
        operation_id, new_intent_id = public_ids.new_id(), public_ids.new_id()
        held = keys.claim(
            caller,
            operation_id=operation_id,
            intent_id=new_intent_id if creates_intent else None,
        )
        if held is not None and held.answer is not None:
            return held.answer
        lost = held is not None and (held.open_operation_id or held.closed_operation_id)
        if not lost:
            ground = _ground(caller, renderer, held, operation_id, new_intent_id)
            begun = begin(ground)
    if lost:
        assert held is not None, "only a claim knows of an earlier run"
        return _finish_earlier_run(held, caller, renderer)
    if isinstance(begun, Answer):
        return begun
    return (carry_out or execution.carry_out)(begun, caller, renderer)


def locked_intent(caller: Caller, intent_id: UUID) -> PaymentIntent:
    """The caller's intent, locked until the transaction ends; refuses with ResourceMissing."""
    sql = (
        f"SELECT {columns_of(PaymentIntent)} FROM {table_of(PaymentIntent)} "
        "WHERE id = %s AND merchant_id = %s AND livemode = %s FOR UPDATE"
    )
    rows = execute(sql, [intent_id, caller.merchant.id, caller.livemode])
    if not rows:
        public_id = public_ids.encode(public_ids.PAYMENT_INTENT, intent_id)
        raise ResourceMissing(f"No such payment_intent: '{public_id}'", param="intent")
    return instance_of(PaymentIntent, rows[0])


def _ground(
    caller: Caller,
    renderer: Renderer,
    held: keys.Claim | None,
    operation_id: UUID,
    new_intent_id: UUID,
) -> Ground:
    intent_id = None
    if held is not None and not held.fresh:
        intent_id = held.row.intent_id
        keys.take_over(held, operation_id=operation_id, intent_id=intent_id or new_intent_id)
    return Ground(
        caller=caller,
        renderer=renderer,
        operation_id=operation_id,
        intent_id=intent_id,
        new_intent_id=new_intent_id,
        held=held,
    )


def _finish_earlier_run(held: keys.Claim, caller: Caller, renderer: Renderer) -> Answer:
    operation_id = held.open_operation_id or held.closed_operation_id
    assert operation_id is not None, "an earlier run left an operation"
    if held.open_operation_id is not None:
        recovery_sweep.resolve_within(
            operation_id, actor=caller.actor, answer_by_monotonic=caller.answer_by_monotonic
        )
    return execution.answer_as_it_stands(operation_id, caller, renderer)


class OrderTaken(Exception):
    """Raised by a `begin` when the order guard refused its charge; `move` names the holder."""

    def __init__(self, order_id: str) -> None:
        super().__init__(order_id)
        self.order_id = order_id


def write_charge(batch: Batch, operation: Operation) -> None:
    """Write a charge with everything that belongs to it; the unique indexes may refuse it."""
    try:
        batch.execute()
    except IntegrityError as error:
        if _constraint_of(error) == "one_charge_per_order":
            raise OrderTaken(operation.guard_order or "") from error
        raise


@contextmanager
def _named_refusals(caller: Caller) -> Iterator[None]:
    """Turn the unique indexes that guard charges into refusals that say what to do."""
    try:
        yield
    except OrderTaken as taken:
        raise _order_refusal(caller, taken.order_id) from taken
    except IntegrityError as error:
        if _constraint_of(error) in (
            "one_charge_per_intent",
            "one_open_change_per_intent",
        ):
            raise OperationUnderWay(
                "Another operation of this payment intent is under way. "
                "Please try the same request again shortly."
            ) from error
        raise


def _constraint_of(error: IntegrityError) -> str | None:
    return getattr(getattr(error.__cause__, "diag", None), "constraint_name", None)


def _order_refusal(caller: Caller, order_id: str) -> OrderAlreadyPaid:
    """Name the payment that holds the order, so that the merchant can look at it."""
    holder = (
        Operation.objects.filter(
            merchant_id=caller.merchant.id,
            livemode=caller.livemode,
            guard_order=order_id,
        )
        .select_related("intent")
        .first()
    )
    named = holder.intent.public_id if holder is not None else "Another payment intent"
    return OrderAlreadyPaid(
        f"{named} already has an open or successful charge for order '{order_id}'. Cancel or fully "
        "refund it before charging this order again.",
        param="metadata[order_id]",
    )
