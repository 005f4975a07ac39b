"""The refund as the merchant sees it."""

from __future__ import annotations

from typing import Any, Final

from payments import public_ids
from payments.models import Operation, PaymentIntent, Refund
from payments.objects.fields import (
    ObjectType,
    always_null,
    created,
    currency,
    id_of,
    metadata,
    minor,
    named,
    null_ids,
    one_of,
    own_id,
    text,
)
from payments.objects.parts import (
    public_id,
    reference,
    unix_seconds_of,
    without_missing,
)
from payments.states import RefundStatus

REFUND: Final = ObjectType(
    "refund",
    "Money of a charge that goes back to the customer.",
    {
        "id": own_id(public_ids.REFUND),
        "object": named("refund"),
        "amount": minor("How much goes back.", 500),
        "balance_transaction": id_of(
            "balance_transaction",
            "What it took from the balance; null until it is booked.",
            public_ids.BALANCE_TRANSACTION,
            nullable=True,
        ),
        "charge": id_of("charge", "The charge whose money goes back.", public_ids.CHARGE),
        "created": created("the refund"),
        "currency": currency(),
        "customer": id_of("customer", "Who gets it; null without a customer.", nullable=True),
        "description": text(
            "What is to be said about it: that it waits for approval, or got none.",
            sample="Waits for approval",
        ).but(absent=True),
        "failure_balance_transaction": id_of(
            "balance_transaction", "What the balance got back when the refund failed."
        ).but(absent=True),
        "failure_reason": text("Why it failed.", sample="expired_or_canceled_card").but(
            absent=True
        ),
        "metadata": metadata(),
        "payment_intent": id_of(
            "payment_intent", "The payment whose money goes back.", public_ids.PAYMENT_INTENT
        ),
        "payment_method": id_of(
            "payment_method", "Where it goes to.", public_ids.PAYMENT_METHOD, nullable=True
        ),
        "pending_reason": one_of("Why it is pending.", "processing").but(absent=True, example=None),
        "reason": one_of(
            "Why, as the merchant said it; null if nothing was said.",
            *("duplicate", "fraudulent", "requested_by_customer", "expired_uncaptured_charge"),
            example="requested_by_customer",
            nullable=True,
        ),
        "status": one_of(
            "`succeeded` can become `failed` days later: the bank sent the money back.",
            *(str(status) for status in RefundStatus),
            example="succeeded",
        ),
        **null_ids("source_transfer_reversal", "transfer_reversal"),
        **always_null("customer_account", "receipt_number"),
    },
)


def refund_object(
    refund: Refund, intent: PaymentIntent, operation: Operation | None
) -> dict[str, Any]:
    """A refund, nothing expanded; one that waits for approval has no operation yet."""
    failed = refund.status == RefundStatus.FAILED
    booked_id = operation.balance_transaction_id if operation else None
    failure_id = operation.failure_balance_transaction_id if operation else None
    shown = {
        "id": public_id(public_ids.REFUND, refund.id),
        **REFUND.constants,
        "amount": refund.amount_minor,
        "balance_transaction": reference(public_ids.BALANCE_TRANSACTION, booked_id),
        "charge": public_id(public_ids.CHARGE, refund.charge_id),
        "created": unix_seconds_of(refund.id),
        "currency": refund.currency.lower(),
        "customer": reference(public_ids.CUSTOMER, intent.customer_id),
        "description": refund.description or None,
        "failure_balance_transaction": reference(
            public_ids.BALANCE_TRANSACTION, failure_id if failed else None
        ),
        "failure_reason": refund.failure_reason or None,
        "metadata": refund.metadata,
        "payment_intent": public_id(public_ids.PAYMENT_INTENT, intent.id),
        "payment_method": reference(public_ids.PAYMENT_METHOD, intent.payment_method_id),
        "pending_reason": "processing" if refund.status == RefundStatus.PENDING else None,
        "reason": refund.reason or None,
        "status": str(refund.status),
    }
    return without_missing(shown, REFUND.absent)
