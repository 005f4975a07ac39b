"""The refund as the merchant sees it."""

from __future__ import annotations

from typing import Any, Final

from payments import public_ids
from payments.models import Operation, PaymentIntent, Refund
from payments.objects.parts import (
    public_id,
    reference,
    unix_seconds_of,
    without_missing,
)
from payments.states import RefundStatus

_ABSENT_IF_MISSING: Final = frozenset(
    {"description", "failure_balance_transaction", "failure_reason", "pending_reason"}
)


def refund_object(refund: Refund, intent: PaymentIntent, operation: Operation) -> dict[str, Any]:
    """A refund, nothing expanded."""
    failed = refund.status == RefundStatus.FAILED
    shown = {
        "id": public_id(public_ids.REFUND, refund.id),
        "object": "refund",
        "amount": refund.amount_minor,
        "balance_transaction": reference(
            public_ids.BALANCE_TRANSACTION, operation.balance_transaction_id
        ),
        "charge": public_id(public_ids.CHARGE, refund.charge_id),
        "created": unix_seconds_of(refund.id),
        "currency": refund.currency.lower(),
        "customer": reference(public_ids.CUSTOMER, intent.customer_id),
        "customer_account": None,
        "description": refund.description or None,
        "failure_balance_transaction": reference(
            public_ids.BALANCE_TRANSACTION,
            operation.failure_balance_transaction_id if failed else None,
        ),
        "failure_reason": refund.failure_reason or None,
        "metadata": refund.metadata,
        "payment_intent": public_id(public_ids.PAYMENT_INTENT, intent.id),
        "payment_method": reference(public_ids.PAYMENT_METHOD, intent.payment_method_id),
        "pending_reason": "processing" if refund.status == RefundStatus.PENDING else None,
        "reason": refund.reason or None,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": str(refund.status),
        "transfer_reversal": None,
    }
    return without_missing(shown, _ABSENT_IF_MISSING)
