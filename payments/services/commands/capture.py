"""Capture held money, and ask the PSP to hold more."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from ledger.database.statements import Batch
from ledger.money import Money
from payments.amounts import check_amount_limits
from payments.clock import now_utc
from payments.exceptions import AmountRefused, ChargeRefused, InvalidParameter, UnexpectedState
from payments.models import Operation, PaymentIntent
from payments.objects.payment_intent import payment_intent_object
from payments.services.callers.caller import Answer, Caller, Renderer
from payments.services.commands.intent_details import DETAIL_FIELDS, IntentDetails, put_details
from payments.services.commands.run import Ground, locked_intent, move
from payments.services.operations.creation import new_operation, require_no_operation_under_way
from payments.services.outcomes.effects import expiry
from payments.services.psp_gateway import accounts
from payments.states import IntentStatus
from psp_adapters.contract.operations import OperationKind

INCREMENTS_MAX: Final = 10
"""Attempts to raise one authorization, declined ones included (the merchant API's limit)."""


def capture_payment(
    *,
    caller: Caller,
    renderer: Renderer,
    intent_id: UUID,
    amount_minor: int | None = None,
    final: bool = True,
    details: IntentDetails | None = None,
) -> Answer:
    """Take held money: all that is left, or `amount_minor` of it.

    A final capture releases the rest; with `final=False` more captures may follow. Refuses with
    UnexpectedState, ChargeRefused (the hold ran out), AmountRefused and OperationUnderWay (repeat
    later).
    """

    def begin(ground: Ground) -> Operation:
        intent = locked_intent(caller, intent_id)
        _require_authorized(intent, "capture")
        left = intent.capturable
        amount = Money(left.minor if amount_minor is None else amount_minor, intent.currency)
        if amount > left:
            raise AmountRefused(
                f"The amount to capture ({amount}) is more than the {left} that can be captured.",
                param="amount_to_capture",
            )
        if not final:
            _require_capability(intent, "multiple_captures", param="final_capture")
        operation = new_operation(
            kind=OperationKind.CAPTURE,
            intent=intent,
            amount_minor=amount.minor,
            caller=caller,
            operation_id=ground.operation_id,
            idempotency_id=ground.idempotency_id,
        )
        operation.final = final
        return write_change(intent, operation, details, caller)

    return move(caller=caller, renderer=renderer, begin=begin)


def increment_authorization(
    *,
    caller: Caller,
    renderer: Renderer,
    intent_id: UUID,
    amount_minor: int,
    details: IntentDetails | None = None,
) -> Answer:
    """Raise an authorization to `amount_minor`, its new total; a decline changes nothing.

    Refuses with UnexpectedState, AmountRefused, InvalidParameter and OperationUnderWay.
    """

    def begin(ground: Ground) -> Operation:
        intent = locked_intent(caller, intent_id)
        _require_authorized(intent, "increment the authorization of")
        _require_capability(intent, "increments", param="amount")
        total = Money(amount_minor, intent.currency)
        check_amount_limits(total)
        if total <= intent.amount or intent.amount_captured_minor:
            raise AmountRefused(
                f"The new amount must be more than the {intent.amount} that is authorized, and "
                "nothing may have been captured yet.",
                param="amount",
                code="parameter_invalid_integer",
            )
        attempts = intent.operations.filter(kind=OperationKind.INCREMENT).count()
        if attempts >= INCREMENTS_MAX:
            raise InvalidParameter(
                f"This authorization was incremented {attempts} times already, which is the most "
                "allowed. Make a new payment for the rest.",
                param="amount",
            )
        operation = new_operation(
            kind=OperationKind.INCREMENT,
            intent=intent,
            amount_minor=amount_minor - intent.amount_minor,
            caller=caller,
            operation_id=ground.operation_id,
            idempotency_id=ground.idempotency_id,
        )
        return write_change(intent, operation, details, caller)

    return move(caller=caller, renderer=renderer, begin=begin)


def write_change(
    intent: PaymentIntent,
    operation: Operation,
    details: IntentDetails | None,
    caller: Caller,
) -> Operation:
    """Move a locked intent to PROCESSING and write the operation that changes it."""
    intent.start()
    intent.updated_at = now_utc()
    fields: tuple[str, ...] = ("status", "updated_at")
    if details is not None:
        put_details(intent, details, caller)
        fields = (*fields, *(f for f in DETAIL_FIELDS if f != "order_id"))
    Batch().update(intent, fields).insert(operation).execute()
    return operation


def _require_authorized(intent: PaymentIntent, verb: str) -> None:
    require_no_operation_under_way(intent)
    if intent.status == IntentStatus.CANCELED and intent.cancellation_reason == expiry.REASON:
        raise ChargeRefused(
            f"You cannot {verb} this PaymentIntent because its authorization has expired. Make a "
            "new payment.",
            code=expiry.REFUSED_CODE,
            intent=intent,
        )
    if intent.status != IntentStatus.AUTHORIZED:
        status = payment_intent_object(intent)["status"]
        raise UnexpectedState(
            f"You cannot {verb} this PaymentIntent because it has a status of {status}. Only a "
            "PaymentIntent with the status requires_capture allows it.",
            intent=intent,
        )


def _require_capability(intent: PaymentIntent, flag: str, *, param: str) -> None:
    account = accounts.psp_account_of(intent.psp_account_id)
    if not getattr(accounts.adapter_of(account).capabilities, flag):
        raise InvalidParameter(
            f"The payment provider of this payment does not support {param} here.",
            param=param,
        )
