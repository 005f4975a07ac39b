"""The payment intent as the merchant sees it, with one of Stripe's seven statuses."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from payments import public_ids
from payments.models import PaymentIntent
from payments.objects.parts import (
    public_id,
    reference,
    shipping_object,
    unix_seconds,
    unix_seconds_of,
)
from payments.objects.payment_method import charged_method_object
from payments.states import IntentStatus

_STATUS: Final[dict[str, str]] = {
    IntentStatus.PROCESSING: "processing",
    IntentStatus.REQUIRES_ACTION: "requires_action",
    IntentStatus.AUTHORIZED: "requires_capture",
    IntentStatus.CAPTURED: "succeeded",
    IntentStatus.PARTIALLY_REFUNDED: "succeeded",
    IntentStatus.REFUNDED: "succeeded",
    IntentStatus.CANCELED: "canceled",
}


def public_status(intent: PaymentIntent) -> str:
    """The status in the merchant API's closed vocabulary.

    Once `succeeded` or `canceled` was published it stays. Not yet charged, or declined: what is
    missing for a charge decides.
    """
    if intent.published_status:
        return intent.published_status
    known = _STATUS.get(intent.status)
    if known is not None:
        return known
    return (
        "requires_payment_method" if intent.payment_method_id is None else "requires_confirmation"
    )


def payment_intent_object(intent: PaymentIntent) -> dict[str, Any]:
    """A payment intent, nothing expanded."""
    status = intent.status
    capturable_minor = intent.amount_held_minor if status == IntentStatus.AUTHORIZED else 0
    return {
        "id": public_id(public_ids.PAYMENT_INTENT, intent.id),
        "object": "payment_intent",
        "amount": intent.amount_minor,
        "amount_capturable": capturable_minor,
        "amount_details": {"tip": {}},
        "amount_received": intent.amount_captured_minor,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": intent.automatic_payment_methods,
        "canceled_at": unix_seconds(intent.canceled_at),
        "cancellation_reason": intent.cancellation_reason or None,
        "capture_method": intent.capture_method,
        "client_secret": intent.client_secret,
        "confirmation_method": "automatic",
        "created": unix_seconds_of(intent.id),
        "currency": intent.currency.lower(),
        "customer": reference(public_ids.CUSTOMER, intent.customer_id),
        "customer_account": None,
        "description": intent.description or None,
        "excluded_payment_method_types": None,
        "last_payment_error": _last_payment_error(intent),
        "latest_charge": reference(public_ids.CHARGE, intent.latest_charge_id),
        "livemode": intent.livemode,
        "managed_payments": None,
        "metadata": intent.metadata,
        "next_action": _next_action(intent) if status == IntentStatus.REQUIRES_ACTION else None,
        "on_behalf_of": None,
        "payment_method": reference(public_ids.PAYMENT_METHOD, intent.payment_method_id),
        "payment_method_configuration_details": None,
        "payment_method_options": {},
        "payment_method_types": intent.payment_method_types,
        "payment_record": None,
        "processing": None,
        "receipt_email": intent.receipt_email or None,
        "review": None,
        "setup_future_usage": intent.setup_future_usage or None,
        "shipping": shipping_object(intent.shipping) if intent.shipping else None,
        "source": None,
        "statement_descriptor": intent.statement_descriptor or None,
        "statement_descriptor_suffix": intent.statement_descriptor_suffix or None,
        "status": public_status(intent),
        "transfer_data": None,
        "transfer_group": None,
    }


def _next_action(intent: PaymentIntent) -> dict[str, Any]:
    """Where the customer must go. Never `use_stripe_sdk`: stripe.js only talks to Stripe."""
    return {
        "type": "redirect_to_url",
        "redirect_to_url": {
            "url": intent.next_action_url,
            "return_url": intent.return_url or None,
        },
    }


def _last_payment_error(intent: PaymentIntent) -> dict[str, Any] | None:
    """The stored error, its method shown as an object if its snapshot was kept with it."""
    if not intent.last_payment_error:
        return None
    error = dict(intent.last_payment_error)
    method_id = error.pop("payment_method_id", None)
    snapshot = error.pop("payment_method_details", None)
    if method_id and snapshot:
        error["payment_method"] = charged_method_object(
            UUID(method_id),
            snapshot,
            customer_id=intent.customer_id,
            livemode=intent.livemode,
        )
    return error
