"""Translates what PostgreSQL refuses of charges and refunds into refusals."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from django.db import IntegrityError

from ledger.database.statements import Batch
from payments import public_ids
from payments.exceptions import (
    OperationUnderWay,
    OrderAlreadyPaid,
    SetupRefused,
    UnexpectedState,
)
from payments.models import Operation, PaymentIntent, SetupIntent
from payments.objects.setup_intent import setup_intent_object
from payments.services.callers.caller import Caller

CHECKOUT_ACTOR: Final = "customer:checkout"
"""The caller of what customers do on the page of a checkout session."""


class OrderTaken(Exception):
    """The order guard refused a charge; the transaction cannot go on."""

    def __init__(self, order_id: str) -> None:
        super().__init__(order_id)
        self.order_id = order_id


def write_charge(batch: Batch, operation: Operation) -> None:
    """Write a charge with everything that belongs to it; raises OrderTaken."""
    try:
        batch.execute()
    except IntegrityError as error:
        if _constraint_of(error) == "one_charge_per_order":
            raise OrderTaken(operation.guard_order or "") from error
        raise


def require_own_page(intent: PaymentIntent | SetupIntent, caller: Caller) -> None:
    """Refuse to confirm or change what belongs to a checkout session, except by its page."""
    if intent.checkout_session_id is None or caller.actor == CHECKOUT_ACTOR:
        return
    session = public_ids.encode(public_ids.CHECKOUT_SESSION, intent.checkout_session_id)
    if isinstance(intent, SetupIntent):
        raise SetupRefused(
            f"This SetupIntent belongs to the Checkout Session {session}: its customer confirms it "
            "on the session's page. To end it, expire the session or cancel the SetupIntent.",
            setup_intent=setup_intent_object(intent),
        )
    raise UnexpectedState(
        f"This PaymentIntent belongs to the Checkout Session {session}: its customer pays on the "
        "session's page. To end it, expire the session or cancel the PaymentIntent.",
        intent=intent,
    )


@contextmanager
def named_refusals(caller: Caller) -> Iterator[None]:
    """Raise OrderAlreadyPaid or OperationUnderWay for what PostgreSQL refused inside.

    Stands around the transaction: the payment that holds the order is read after its rollback.
    """
    try:
        yield
    except OrderTaken as taken:
        raise _order_refusal(caller, taken.order_id) from taken
    except IntegrityError as error:
        if _constraint_of(error) in ("one_charge_per_intent", "one_open_change_per_intent"):
            raise OperationUnderWay(
                "Another operation of this payment intent is under way. "
                "Please try the same request again shortly."
            ) from error
        if str(error).startswith("refund_needs_approval"):
            raise OperationUnderWay(
                "How much may be refunded without approval was changed just now. "
                "Please try the same request again shortly."
            ) from error
        raise


def _constraint_of(error: IntegrityError) -> str | None:
    return getattr(getattr(error.__cause__, "diag", None), "constraint_name", None)


def _order_refusal(caller: Caller, order_id: str) -> OrderAlreadyPaid:
    """Name the payment that holds the order, so that the merchant can retrieve it."""
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
