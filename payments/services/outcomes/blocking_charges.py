"""Says why a late charge cannot count for its payment: another charge does, its order is taken, or
the amount was changed.
"""

from __future__ import annotations

from payments.models import Merchant, Operation, PaymentIntent
from payments.states import BLOCKING_CHARGE, OperationStatus
from psp_adapters.contract.operations import OperationKind


def blocking_charge(merchant: Merchant, intent: PaymentIntent, charge: Operation) -> str:
    """A sentence that says what keeps the charge from holding the payment; empty if nothing does.

    The intent must be locked.
    """
    others = intent.operations.exclude(pk=charge.pk)
    other = others.filter(
        kind=OperationKind.AUTHORIZE.value, status__in=sorted(BLOCKING_CHARGE)
    ).first()
    if other is not None:
        return f"{other.public_id} holds the payment"
    taken_by = order_taken_by(merchant, intent, charge)
    if taken_by:
        return f"{taken_by} holds its order"
    increments = others.filter(
        charge_id=charge.id, kind=OperationKind.INCREMENT.value, status=OperationStatus.SUCCEEDED
    )
    incremented_minor = sum(increments.values_list("amount_minor", flat=True))
    asked_minor = charge.amount_minor + incremented_minor
    if (asked_minor, charge.currency) != (intent.amount_minor, intent.currency):
        return f"the payment asks for {intent.amount} by now"
    return ""


def order_taken_by(merchant: Merchant, intent: PaymentIntent, charge: Operation) -> str:
    """The public id of another payment that occupies the charge's order; empty if there is none.

    Another charge may take the order after this was read. The unique index then refuses the write,
    and the snapshot is adopted at the next look-up.
    """
    if not (merchant.order_guard and charge.order_id):
        return ""
    holder = (
        Operation.objects.filter(
            merchant_id=charge.merchant_id,
            livemode=charge.livemode,
            guard_order=charge.order_id,
        )
        .exclude(intent_id=intent.id)
        .select_related("intent")
        .first()
    )
    return holder.intent.public_id if holder is not None else ""
