"""Captures that wait for approval: the authorization stays as it is until a second person decides.

Lock order: intent, request. A new request about the same payment voids the one before.
"""

from __future__ import annotations

from functools import partial
from typing import Final
from uuid import UUID

from django.db import transaction

from ledger import posting_rules as rules
from ledger.database.row_ids import new_row_id
from payments.models import Approval, ApprovalCommand, PaymentIntent, books_of
from payments.services import callers
from payments.services.approvals.requests import (
    Applied,
    ApprovableCommand,
    Draft,
    request_approval,
)
from payments.services.callers.caller import Caller, CommandRequest, Prepared
from payments.services.commands.capture import require_capturable, write_capture
from payments.services.commands.transaction import CommandTx, locked_intent
from payments.services.operations.execution import execute_accepted
from payments.services.psp_gateway.accounts import psp_account_of


def request_capture(
    caller: Caller,
    *,
    intent_id: UUID,
    amount_minor: int | None = None,
    final: bool = True,
    reason: str,
) -> Approval:
    """Ask a second person to capture the rest of an authorization, or `amount_minor` of it.

    Nothing is reserved: if less is held when it is approved, it is refused then. Raises what
    `capture_payment` does, and ValueError without a reason.
    """
    with transaction.atomic(durable=True):
        intent = locked_intent(caller, intent_id)
        amount = require_capturable(intent, amount_minor, final=final)
        account = psp_account_of(intent.psp_account_id)
        parties = rules.Parties(
            psp_account=account.code,
            merchant=books_of(intent.merchant_id, livemode=intent.livemode),
        )
        draft = Draft(
            command=ApprovalCommand.CAPTURE_PAYMENT,
            subject=intent.public_id,
            livemode=intent.livemode,
            requester=caller.actor,
            reason=reason,
            parameters={"amount_minor": amount.minor, "final": final},
            postings=[rule(parties, amount) for rule in (rules.capture_memo, rules.captured)],
            amount=amount,
            merchant=caller.merchant,
            psp_account=intent.psp_account,
            intent_id=intent.id,
            request_id=caller.request_id,
        )
        return request_approval(draft)


def _lock(approval: Approval) -> None:
    PaymentIntent.objects.select_for_update().get(pk=_intent_id_of(approval))


def _apply(approval: Approval, actor: str) -> Applied:
    """Write the operation of the capture, by the body of the command itself."""
    intent_id, asked = _intent_id_of(approval), approval.frozen["parameters"]
    caller = callers.for_intent(PaymentIntent.objects.get(pk=intent_id), actor)
    tx = CommandTx(
        caller=caller,
        operation_id=new_row_id(),
        new_intent_id=intent_id,
        earlier_intent_id=None,
        claim=None,
        prepared=Prepared(),
        challenge_ended=False,
    )
    operation = write_capture(
        tx, intent_id=intent_id, amount_minor=asked["amount_minor"], final=asked["final"]
    )
    send = partial(execute_accepted, operation, CommandRequest(caller))
    return Applied(operation.public_id, after_commit=send)


def _give_up(approval: Approval, actor: str) -> None:
    """Nothing was reserved."""


def _intent_id_of(approval: Approval) -> UUID:
    assert approval.intent_id is not None, "a capture is of a payment"
    return approval.intent_id


CAPTURE: Final = ApprovableCommand(lock=_lock, apply=_apply, give_up=_give_up)
