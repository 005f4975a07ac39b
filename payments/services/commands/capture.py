"""Captures an authorization, or increments it."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from ledger.money import Money
from payments.amounts import check_amount_limits, check_divisibility
from payments.exceptions import AmountRefused, ChargeRefused, InvalidParameter, UnexpectedState
from payments.models import Operation, PaymentIntent
from payments.objects.payment_intent import payment_intent_object
from payments.services.commands.intent_details import IntentDetails, apply_details_of_charged
from payments.services.commands.method_options import (
    INCREMENTAL,
    MULTICAPTURE,
    NEVER,
    card_option,
)
from payments.services.commands.purchase_details import check_purchase, purchase_of
from payments.services.commands.run import command
from payments.services.commands.transaction import CommandTx
from payments.services.operations.creation import (
    require_current,
    require_no_operation_under_way,
)
from payments.services.outcomes.payment_state import EXPIRED_CODE, EXPIRED_REASON
from payments.services.psp_gateway import accounts
from payments.states import IntentStatus
from psp_adapters.contract.operations import OperationKind

INCREMENTS_MAX: Final = 10
"""Attempts to raise one authorization, declined ones included (the merchant API's limit)."""


def write_capture(
    tx: CommandTx,
    *,
    intent_id: UUID,
    amount_minor: int | None = None,
    final: bool = True,
    details: IntentDetails | None = None,
    charge_id: UUID | None = None,
    amount_param: str = "amount_to_capture",
) -> Operation:
    """Capture the rest of an authorization, or `amount_minor` of it.

    `charge_id`, if given, must be the payment's latest charge. A refusal of the amount names
    `amount_param`.

    A final capture releases the rest; with `final=False` more captures may follow. Raises
    UnexpectedState, ChargeRefused (the authorization expired), AmountRefused, InvalidParameter,
    and OperationUnderWay (repeat later).
    """
    intent = tx.lock_intent(intent_id)
    require_current(intent, charge_id)
    amount = require_capturable(intent, amount_minor, final=final, param=amount_param)
    operation = tx.new_operation(OperationKind.CAPTURE, intent, amount)
    operation.final = final
    intent.start()
    changed = apply_details_of_charged(intent, details, tx.caller)
    check_purchase(intent, amount, details)
    if details is not None and (details.amount_details or details.level3):
        operation.purchase_details = purchase_of(intent)
    return tx.write(intent, operation, ("status", *changed))


capture_payment = command(write_capture)
"""`write_capture` as a command: the operation is sent."""


@command
def increment_authorization(
    tx: CommandTx, *, intent_id: UUID, amount_minor: int, details: IntentDetails | None = None
) -> Operation:
    """Raise an authorization to `amount_minor`, its new total; a decline changes nothing.

    Raises UnexpectedState, ChargeRefused, AmountRefused, InvalidParameter and OperationUnderWay.
    """
    intent = tx.lock_intent(intent_id)
    _require_authorized(intent, "increment the authorization of")
    _require_capability(intent, "increments", option=INCREMENTAL, param="amount")
    total = _incremented_total(intent, amount_minor)
    _require_attempts_left(intent)
    operation = tx.new_operation(OperationKind.INCREMENT, intent, total - intent.amount)
    intent.start()
    changed = apply_details_of_charged(intent, details, tx.caller)
    check_purchase(intent, total, details)
    return tx.write(intent, operation, ("status", *changed))


def require_capturable(
    intent: PaymentIntent,
    amount_minor: int | None,
    *,
    final: bool,
    param: str = "amount_to_capture",
) -> Money:
    """How much is captured, which may be captured now; refuses as `write_capture` does."""
    _require_authorized(intent, "capture")
    amount = _capture_amount(intent, amount_minor, param=param)
    if not final:
        _require_capability(intent, "multiple_captures", option=MULTICAPTURE, param="final_capture")
    return amount


def _capture_amount(intent: PaymentIntent, amount_minor: int | None, *, param: str) -> Money:
    left = intent.capturable
    if amount_minor is None:
        return left
    amount = Money(amount_minor, intent.currency)
    if amount != left:
        check_divisibility(amount, param=param)
    if amount > left:
        raise AmountRefused(
            f"The amount to capture ({amount}) is more than the {left} that can be captured.",
            param=param,
        )
    return amount


def _incremented_total(intent: PaymentIntent, amount_minor: int) -> Money:
    total = Money(amount_minor, intent.currency)
    check_amount_limits(total)
    if total <= intent.amount or intent.amount_captured_minor:
        raise AmountRefused(
            f"The new amount must be more than the {intent.amount} that is authorized, and "
            "nothing may have been captured yet.",
            param="amount",
            code="parameter_invalid_integer",
        )
    return total


def _require_attempts_left(intent: PaymentIntent) -> None:
    attempts = intent.operations.filter(kind=OperationKind.INCREMENT, replaces_id=None).count()
    if attempts >= INCREMENTS_MAX:
        raise InvalidParameter(
            f"This authorization was incremented {attempts} times already, which is the most "
            "allowed. Make a new payment for the rest.",
            param="amount",
        )


def _require_authorized(intent: PaymentIntent, verb: str) -> None:
    require_no_operation_under_way(intent)
    if intent.status == IntentStatus.CANCELED and intent.cancellation_reason == EXPIRED_REASON:
        raise ChargeRefused(
            f"You cannot {verb} this PaymentIntent because its authorization has expired. Make a "
            "new payment.",
            code=EXPIRED_CODE,
            intent=intent,
        )
    if intent.status != IntentStatus.AUTHORIZED:
        status = payment_intent_object(intent)["status"]
        raise UnexpectedState(
            f"You cannot {verb} this PaymentIntent because it has a status of {status}. Only a "
            "PaymentIntent with the status requires_capture allows it.",
            intent=intent,
        )


def _require_capability(intent: PaymentIntent, flag: str, *, option: str, param: str) -> None:
    if card_option(intent, option) == NEVER:
        raise InvalidParameter(
            f"This PaymentIntent was charged with {option}=never, so this cannot be done with its "
            "authorization. Capture all of it, or make a new PaymentIntent for the rest.",
            param=param,
        )
    if not getattr(accounts.capabilities_of(intent.psp_account_id), flag):
        raise InvalidParameter(
            f"The payment provider of this payment does not support {param} here.",
            param=param,
        )
