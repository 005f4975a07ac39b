"""Confirms a payment whose customer is at a challenge: another method replaces the open charge.

The PSP voids the old attempt first, under an operation of its own. Only once that is closed does
the request go on and write the new charge: no two charges of a payment are open at once. A late
success of the old one is booked as a duplicate charge, and given back.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from payments.exceptions import OperationUnderWay, UnexpectedState
from payments.models import Operation, PaymentIntent, PaymentMethod
from payments.selectors.payments import intents
from payments.services.callers.caller import Caller, CommandRequest, Subject
from payments.services.commands.routed_methods import (
    Methods,
    Named,
    found_methods,
    rules_for,
)
from payments.services.commands.transaction import CommandTx
from payments.services.idempotency.keys import Claim
from payments.services.operations import execution
from payments.services.psp_gateway import accounts, terms
from payments.services.recovery import sweep as recovery_sweep
from payments.states import IntentStatus, OperationStatus
from psp_adapters.contract.operations import OperationKind, PspUnavailable

_BEGUN: Final = frozenset(
    {
        IntentStatus.REQUIRES_ACTION,
        IntentStatus.AUTHORIZED,
        IntentStatus.CAPTURED,
        IntentStatus.PARTIALLY_REFUNDED,
    }
)


def prepare_confirmation(
    caller: Caller, *, intent_id: UUID, payment_method: Named = "", **_others: Any
) -> Methods:
    """The `prepare` step of a confirmation: the method named, after a look-up of an open challenge.

    The customer may have completed it without our knowing yet; then it is not to be voided.
    """
    routed = bool(payment_method) and bool(rules_for(caller))
    intent = intents(caller.scope).filter(pk=intent_id).first() if routed else None
    try:
        methods = found_methods(caller, payment_method, intent, charging=routed)
    except PspUnavailable:
        # Where charges are paused anyway, that is the clearer answer.
        terms.require_open(accounts.psp_account_of(caller.psp_account.id))
        raise
    challenged = intents(caller.scope).filter(pk=intent_id, status=IntentStatus.REQUIRES_ACTION)
    charge_id = challenged.values_list("latest_charge_id", flat=True).first()
    if charge_id is not None:
        _look_up(charge_id, caller)
    return methods


def is_confirmed_again(intent: PaymentIntent, method: PaymentMethod | None) -> bool:
    """Does a confirmation only complete the attempt that an earlier one began?

    With confirmation_method=manual the merchant confirms again after the challenge. The PSP has
    taken or held the money by then, or still waits for the customer: nothing more is charged. A
    charge that is being given back, or was, completes nothing.
    """
    if intent.confirmation_method != "manual" or intent.status not in _BEGUN:
        return False
    assert intent.latest_charge_id is not None, "an attempt was begun"
    charge = Operation.objects.get(pk=intent.latest_charge_id)
    same_method = method is None or charge.token in (method.token, method.stored_token)
    return same_method and charge.reversal_due_at is None


def void_of_challenge(
    tx: CommandTx, intent: PaymentIntent, method: PaymentMethod | None
) -> Operation:
    """Write the void of the open charge of an intent that waits for its customer.

    Raises UnexpectedState without another method than the one being charged, or if the PSP was
    asked already and did not end the challenge.
    """
    assert intent.latest_charge_id is not None, "a challenge is one of a charge"
    charges = intent.operations.filter(pk=intent.latest_charge_id)
    if method is None or charges.filter(token__in=(method.token, method.charged_token)).exists():
        raise UnexpectedState(
            "You cannot confirm this PaymentIntent because it has a status of requires_action. "
            "Send the customer to next_action[redirect_to_url][url], pass another payment_method "
            "to replace this attempt, or cancel the PaymentIntent.",
            intent=intent,
        )
    if tx.challenge_ended:
        raise UnexpectedState(
            "The payment method of this PaymentIntent could not be replaced, because the payment "
            "provider did not end the open attempt. Send the customer to "
            "next_action[redirect_to_url][url], or cancel the PaymentIntent.",
            intent=intent,
        )
    void = tx.new_operation(OperationKind.VOID, intent, intent.held)
    void.ends_challenge = True
    intent.start()
    return tx.write(intent, void, ("status",))


def end_challenge(begun: Operation | Claim, request: CommandRequest[Subject]) -> None:
    """Have the PSP end the challenge, and record that; returns once the void is closed.

    Nothing is answered under the request's key by it. Raises OperationUnderWay while the outcome
    is open, and PspNotReached if nothing was sent: the request may be repeated with the same key.
    """
    caller = request.caller
    if isinstance(begun, Operation):
        void_id = begun.id
        unanswered: CommandRequest[Subject] = CommandRequest(replace(caller, idempotency_key=""))
        execution.execute(begun, unanswered)
    else:
        assert begun.open_operation_id is not None, "the claim names the void"
        void_id = begun.open_operation_id
        _look_up(void_id, caller)
    void = Operation.objects.get(pk=void_id)
    if void.is_open or void.status == OperationStatus.NOT_SENT:
        raise OperationUnderWay(
            "The payment provider has not ended the open attempt of this PaymentIntent yet, so "
            "nothing was charged. Please try the same request again shortly."
        )
    if void.status == OperationStatus.DECLINED and void.charge_id is not None:
        _look_up(void.charge_id, caller)  # The customer was faster, or the challenge has failed.


def _look_up(operation_id: UUID, caller: Caller) -> None:
    recovery_sweep.resolve_within(
        operation_id, actor=caller.actor, answer_by_monotonic=caller.answer_by_monotonic
    )
