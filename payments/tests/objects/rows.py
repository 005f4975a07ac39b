"""Rows of a payment that were never saved, for tests of how objects are rendered. No tests."""

from __future__ import annotations

from typing import Any

from payments import public_ids
from payments.models import Dispute, Operation, PaymentIntent, PaymentMethod, Refund
from payments.objects.payment_method import payment_method_snapshot
from payments.states import IntentStatus, OperationStatus


def method_row(**values: Any) -> PaymentMethod:
    return PaymentMethod(
        **{
            "id": public_ids.new_id(),
            "livemode": False,
            "method_type": "card",
            "token": "pm_card_visa",
            "brand": "visa",
            "funding": "credit",
            "last4": "4242",
            "expiry_month": 12,
            "expiry_year": 2034,
            "country": "US",
            "fingerprint": "F1",
            **values,
        }
    )


def intent_row(**values: Any) -> PaymentIntent:
    return PaymentIntent(
        **{
            "id": public_ids.new_id(),
            "livemode": False,
            "amount_minor": 1_000,
            "currency": "USD",
            "client_secret": "pi_x_secret_y",
            "payment_method_types": ["card"],
            **values,
        }
    )


def charge_row(intent: PaymentIntent, **values: Any) -> Operation:
    method = method_row()
    operation = Operation(
        **{
            "id": public_ids.new_id(),
            "livemode": False,
            "intent_id": intent.id,
            "kind": "authorize",
            "status": OperationStatus.SUCCEEDED,
            "amount_minor": 1_000,
            "currency": "USD",
            "payment_method_id": method.id,
            "payment_method_details": payment_method_snapshot(method),
            **values,
        }
    )
    intent.latest_charge_id = operation.id
    return operation


def refund_row(intent: PaymentIntent, operation: Operation, **values: Any) -> Refund:
    return Refund(
        **{
            "id": public_ids.new_id(),
            "livemode": False,
            "intent_id": intent.id,
            "operation_id": operation.id,
            "charge_id": public_ids.new_id(),
            "amount_minor": 300,
            "currency": "USD",
            **values,
        }
    )


def dispute_row(intent: PaymentIntent, operation: Operation, **values: Any) -> Dispute:
    return Dispute(
        **{
            "id": public_ids.new_id(),
            "livemode": False,
            "intent_id": intent.id,
            "charge_id": operation.id,
            "status": "needs_response",
            "amount_minor": 1_000,
            "currency": "USD",
            "reason": "fraudulent",
            "loss_policy": "merchant",
            "fee_minor": 1_500,
            "held_id": public_ids.new_id(),
            **values,
        }
    )


def captured_intent(**values: Any) -> PaymentIntent:
    return intent_row(
        **{
            "status": IntentStatus.CAPTURED,
            "published_status": "succeeded",
            "amount_authorized_minor": 1_000,
            "amount_captured_minor": 1_000,
            **values,
        }
    )
