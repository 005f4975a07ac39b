"""Compares refunds that need approval with what was requested and decided. Reads only.

That a request's content is what was asked for, PostgreSQL checks itself (`approval_digest`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final
from uuid import UUID

from ledger.money import Money
from payments import public_ids
from payments.models import Approval, ApprovalCommand, ApprovalStatus, PaymentIntent, Refund
from payments.states import RefundStatus

_NOT_MADE: Final = {
    RefundStatus.PENDING: frozenset({ApprovalStatus.REQUESTED}),
    RefundStatus.CANCELED: frozenset(
        {
            *(ApprovalStatus.REJECTED, ApprovalStatus.EXPIRED),
            *(ApprovalStatus.VOIDED, ApprovalStatus.REFUSED),
        }
    ),
}
"""What a refund without an operation says of its request."""


def approval_differences(
    intents: Sequence[PaymentIntent], refunds: Sequence[Refund]
) -> Iterator[tuple[UUID, str]]:
    """Where these payments' refunds are not what was asked for and decided, each with its payment.

    `refunds` are all of them.
    """
    rows = Approval.objects.filter(
        intent_id__in=[each.id for each in intents],
        command=ApprovalCommand.REFUND_PAYMENT.value,
    )
    approvals = {each.id: each for each in rows}
    for refund in refunds:
        if refund.approval_id is None:
            continue
        approval = approvals.pop(refund.approval_id, None)
        if approval is None:
            name = public_ids.encode(public_ids.APPROVAL, refund.approval_id)
            yield refund.intent_id, f"{refund.public_id}: {name}, its request, does not exist"
            continue
        for sentence in _of_refund(refund, approval):
            yield refund.intent_id, sentence
    for approval in approvals.values():
        assert approval.intent_id is not None, "found by its payment"
        yield (
            approval.intent_id,
            f"{approval.public_id}: the refund that it asks for does not exist",
        )


def _of_refund(refund: Refund, approval: Approval) -> Iterator[str]:
    name = refund.public_id
    if (refund.amount_minor, refund.currency) != (approval.amount_minor, approval.currency):
        amount = Money(refund.amount_minor, refund.currency)
        yield f"{name}: {amount}, its request is about {approval.amount}"
    if approval.subject != name:
        yield f"{name}: its request is about {approval.subject}"
    if (refund.merchant_id, refund.livemode, refund.intent_id) != (
        approval.merchant_id,
        approval.livemode,
        approval.intent_id,
    ):
        yield f"{name}: its request is of another merchant, mode or payment"
    allowed = _NOT_MADE.get(RefundStatus(refund.status), frozenset())
    if refund.operation_id is not None:
        allowed = frozenset({ApprovalStatus.APPLIED})
    if approval.status not in allowed:
        made = "made" if refund.operation_id is not None else refund.status
        yield f"{name}: {made}, and {approval.public_id} is {approval.status}"
