"""The charge: a charging operation as the merchant sees it.

Amounts live on the intent (one charge of an intent can succeed), so they show on that charge only.
What may not live here: queries.
"""

from __future__ import annotations

from typing import Any, Final

from payments import public_ids
from payments.models import Operation, PaymentIntent
from payments.objects.parts import (
    billing_details_object,
    public_id,
    reference,
    shipping_object,
    unix_seconds,
    unix_seconds_of,
)
from payments.objects.payment_method import charged_method_details
from payments.states import INTENT_CAPTURED, IntentStatus, OperationStatus

_STILL_HELD: Final = frozenset({IntentStatus.AUTHORIZED, IntentStatus.PROCESSING})
"""Statuses in which something may be held; an open change does not end the hold."""
_STATUS: Final[dict[str, str]] = {
    OperationStatus.SUCCEEDED: "succeeded",
    OperationStatus.EXCESS: "succeeded",
    OperationStatus.DECLINED: "failed",
    OperationStatus.NOT_SENT: "failed",
    OperationStatus.CANCELED: "failed",
    OperationStatus.REVERSED: "failed",
}
_APPROVED: Final = frozenset(
    {OperationStatus.SUCCEEDED, OperationStatus.EXCESS, OperationStatus.REVERSED}
)


def charge_object(operation: Operation, intent: PaymentIntent) -> dict[str, Any]:
    """A charge, nothing expanded. `refunds` is absent, as in every version since 2022-11-15."""
    status = _STATUS.get(operation.status, "pending")
    failed = status == "failed"
    counts = status == "succeeded" and operation.id == intent.latest_charge_id
    amount_minor = intent.amount_minor if counts else operation.amount_minor
    captured_minor = intent.amount_captured_minor if counts else 0
    refunded_minor = _refunded_minor(intent, amount_minor) if counts else 0
    if operation.status == OperationStatus.EXCESS:
        counts, amount_minor = False, operation.amount_minor
        captured_minor = amount_minor if operation.capture_now else 0
        refunded_minor = operation.excess_returned_minor
    snapshot = operation.payment_method_details or {}
    return {
        "id": public_id(public_ids.CHARGE, operation.id),
        "object": "charge",
        "amount": amount_minor,
        "amount_captured": captured_minor,
        "amount_refunded": refunded_minor,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": reference(
            public_ids.BALANCE_TRANSACTION, operation.balance_transaction_id
        ),
        "billing_details": billing_details_object(snapshot.get("billing_details")),
        "calculated_statement_descriptor": None,
        "captured": (counts and intent.status in INTENT_CAPTURED)
        or (operation.status == OperationStatus.EXCESS and operation.capture_now),
        "created": unix_seconds_of(operation.id),
        "currency": operation.currency.lower(),
        "customer": reference(public_ids.CUSTOMER, intent.customer_id),
        "description": intent.description or None,
        "destination": None,
        "dispute": reference(public_ids.DISPUTE, operation.latest_dispute_id),
        "disputed": operation.latest_dispute_id is not None,
        "failure_balance_transaction": reference(
            public_ids.BALANCE_TRANSACTION,
            operation.failure_balance_transaction_id if failed else None,
        ),
        "failure_code": (operation.code or None) if failed else None,
        "failure_message": (operation.message or None) if failed else None,
        "fraud_details": {},
        "livemode": operation.livemode,
        "metadata": intent.metadata,
        "on_behalf_of": None,
        "order": None,
        "outcome": _outcome(operation),
        "paid": status == "succeeded",
        "payment_intent": public_id(public_ids.PAYMENT_INTENT, intent.id),
        "payment_method": reference(public_ids.PAYMENT_METHOD, operation.payment_method_id),
        "payment_method_details": _method_details(
            operation, intent if counts else None, amount_minor=amount_minor
        ),
        "radar_options": {},
        "receipt_email": intent.receipt_email or None,
        "receipt_number": None,
        "receipt_url": None,
        "refunded": refunded_minor > 0 and refunded_minor >= (captured_minor or amount_minor),
        "review": None,
        "shipping": shipping_object(intent.shipping) if intent.shipping else None,
        "source": None,
        "source_transfer": None,
        "statement_descriptor": intent.statement_descriptor or None,
        "statement_descriptor_suffix": intent.statement_descriptor_suffix or None,
        "status": status,
        "transfer_data": None,
        "transfer_group": None,
    }


def _method_details(
    operation: Operation, held_for: PaymentIntent | None, *, amount_minor: int
) -> dict[str, Any] | None:
    """What was charged; of a card that is held, also until when it may be captured."""
    details = charged_method_details(operation.payment_method_details)
    if details is None or "card" not in details:
        return details
    card = details["card"]
    card["overcapture"]["maximum_amount_capturable"] = amount_minor
    if held_for is None or held_for.status not in _STILL_HELD:
        return details
    if held_for.authorization_expires_at:
        card["capture_before"] = unix_seconds(held_for.authorization_expires_at)
    return details


def _refunded_minor(intent: PaymentIntent, amount_minor: int) -> int:
    """The refunded amount; a canceled authorization counts as refunded in full."""
    if intent.status == IntentStatus.CANCELED and not intent.amount_captured_minor:
        return amount_minor
    return intent.amount_refunded_minor


def _outcome(operation: Operation) -> dict[str, Any] | None:
    """The network's outcome; None while there is none, or if the charge was never sent."""
    if operation.status in _APPROVED:
        return _words("authorized", "approved_by_network", None, "Payment complete.")
    if operation.status != OperationStatus.DECLINED:
        return None
    reason = operation.decline_code or operation.code or "generic_decline"
    message = f"The bank returned the decline code `{reason}`."
    return _words("issuer_declined", "declined_by_network", reason, message)


def _words(
    outcome_type: str, network_status: str, reason: str | None, seller_message: str
) -> dict[str, Any]:
    return {
        "advice_code": None,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": network_status,
        "reason": reason,
        "risk_level": "not_assessed",
        "seller_message": seller_message,
        "type": outcome_type,
    }
