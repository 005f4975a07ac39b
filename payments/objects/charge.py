"""The charge: a charging operation as the merchant sees it.

Amounts live on the intent (one charge of an intent can succeed), so they show on that charge only.
What may not live here: queries.
"""

from __future__ import annotations

from typing import Any, Final

from payments import public_ids
from payments.models import Operation, PaymentIntent
from payments.objects.amount_details import LEVEL3
from payments.objects.fields import (
    ObjectType,
    always,
    always_null,
    created,
    currency,
    flag,
    id_of,
    livemode,
    metadata,
    minor,
    named,
    null_ids,
    one_of,
    own_id,
    record,
    text,
)
from payments.objects.parts import (
    billing_details_field,
    billing_details_object,
    page_of,
    public_id,
    reference,
    shipping_field,
    shipping_object,
    unix_seconds,
    unix_seconds_of,
)
from payments.objects.payment_method import CHARGED_METHOD, charged_method_details
from payments.states import CHARGE_SHOWN_AS, INTENT_CAPTURED, IntentStatus, OperationStatus

_STILL_HELD: Final = frozenset({IntentStatus.AUTHORIZED, IntentStatus.PROCESSING})
"""Statuses in which something may be held; an open change does not end the hold."""
_APPROVED: Final = frozenset(
    {OperationStatus.SUCCEEDED, OperationStatus.EXCESS, OperationStatus.REVERSED}
)

_OUTCOME: Final = {
    "network_status": one_of("What the network did.", "approved_by_network", "declined_by_network"),
    "reason": text(
        "The decline code, if it was declined.", sample="insufficient_funds", nullable=True
    ),
    "risk_level": always("Risk is not judged here.", "not_assessed"),
    "seller_message": text("A sentence for you.", "Payment complete."),
    "type": one_of("What became of it.", "authorized", "issuer_declined"),
    **always_null("advice_code", "network_advice_code", "network_decline_code"),
}

CHARGE: Final = ObjectType(
    "charge",
    "One attempt to charge a payment method. One charge of a payment can succeed.",
    {
        "id": own_id(public_ids.CHARGE),
        "object": named("charge"),
        "amount": minor("What was charged or authorized.", 1250),
        "amount_captured": minor("What was captured.", 1250),
        "amount_refunded": minor("What was refunded.", 0),
        "balance_transaction": id_of(
            "balance_transaction",
            "What it gave to the balance; null until it is captured.",
            public_ids.BALANCE_TRANSACTION,
            nullable=True,
        ),
        "billing_details": billing_details_field(),
        "captured": flag("Whether it was captured.", example=True),
        "created": created("the charge"),
        "currency": currency(),
        "customer": id_of("customer", "Who pays; null without a customer.", nullable=True),
        "description": text("The payment's description.", "Order 6735", nullable=True),
        "dispute": id_of("dispute", "The latest dispute; null without one.", nullable=True),
        "disputed": flag("Whether a bank has disputed it."),
        "failure_balance_transaction": id_of(
            "balance_transaction", "What the balance lost when it failed late.", nullable=True
        ),
        "failure_code": text(
            "As in errors, such as `card_declined`.", sample="card_declined", nullable=True
        ),
        "failure_message": text(
            "Why it failed, as a sentence.", sample="Your card was declined.", nullable=True
        ),
        "fraud_details": always("The operator decides how risk is judged.", {}),
        "level3": LEVEL3,
        "livemode": livemode(),
        "metadata": metadata(),
        "outcome": record(
            "What the network answered; null while there is no answer.", _OUTCOME, nullable=True
        ),
        "paid": flag("Whether it succeeded, captured or not.", example=True),
        "payment_intent": id_of(
            "payment_intent", "The payment that it belongs to.", public_ids.PAYMENT_INTENT
        ),
        "payment_method": id_of(
            "payment_method", "What was charged.", public_ids.PAYMENT_METHOD, nullable=True
        ),
        "payment_method_details": CHARGED_METHOD,
        "radar_options": always("The operator decides how risk is judged.", {}),
        "receipt_email": text(
            "Kept for you: no receipts are sent.", sample="ada@example.com", nullable=True
        ),
        "refunded": flag("Whether all of it was refunded."),
        "refunds": record(
            "The newest refunds; there only if the request expands it.",
            page_of("refund").fields,
        ).but(absent=True, example=None, expands="refund_list"),
        "shipping": shipping_field(),
        "statement_descriptor": text(
            "What the customer's bank shows.", sample="BOOKSHOP", nullable=True
        ),
        "statement_descriptor_suffix": text(
            "Added to the descriptor.", sample="ORDER 6735", nullable=True
        ),
        "status": one_of(
            "`pending`: the PSP or the bank has yet to decide, or its answer was lost.",
            *("succeeded", "pending", "failed"),
        ),
        **null_ids("application", "application_fee", "on_behalf_of", "review"),
        **null_ids("source_transfer"),
        **always_null("application_fee_amount", "calculated_statement_descriptor"),
        **always_null("destination", "order", "receipt_number", "receipt_url", "source"),
        **always_null("transfer_data", "transfer_group"),
    },
)


def charge_object(operation: Operation, intent: PaymentIntent) -> dict[str, Any]:
    """A charge, nothing expanded. `refunds` is absent, as in every version since 2022-11-15."""
    status = CHARGE_SHOWN_AS.get(operation.status, "pending")
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
    shown = {
        "id": public_id(public_ids.CHARGE, operation.id),
        **CHARGE.constants,
        "amount": amount_minor,
        "amount_captured": captured_minor,
        "amount_refunded": refunded_minor,
        "balance_transaction": reference(
            public_ids.BALANCE_TRANSACTION, operation.balance_transaction_id
        ),
        "billing_details": billing_details_object(snapshot.get("billing_details")),
        "captured": (counts and intent.status in INTENT_CAPTURED)
        or (operation.status == OperationStatus.EXCESS and operation.capture_now),
        "created": unix_seconds_of(operation.id),
        "currency": operation.currency.lower(),
        "customer": reference(public_ids.CUSTOMER, intent.customer_id),
        "description": intent.description or None,
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
        "outcome": _outcome(operation),
        "paid": status == "succeeded",
        "payment_intent": public_id(public_ids.PAYMENT_INTENT, intent.id),
        "payment_method": reference(public_ids.PAYMENT_METHOD, operation.payment_method_id),
        "payment_method_details": _method_details(
            operation, intent if counts else None, amount_minor=amount_minor
        ),
        "radar_options": {},
        "receipt_email": intent.receipt_email or None,
        "refunded": refunded_minor > 0 and refunded_minor >= (captured_minor or amount_minor),
        "shipping": shipping_object(intent.shipping) if intent.shipping else None,
        "statement_descriptor": intent.statement_descriptor or None,
        "statement_descriptor_suffix": intent.statement_descriptor_suffix or None,
        "status": status,
    }
    if intent.level3:
        shown["level3"] = intent.level3
    return shown


def _method_details(
    operation: Operation, held_for: PaymentIntent | None, *, amount_minor: int
) -> dict[str, Any] | None:
    """What was charged; of a card that is held, also until when it may be captured."""
    details = charged_method_details(
        operation.payment_method_details, mandate_id=operation.mandate_id
    )
    if details is None or "card" not in details:
        return details
    card = details["card"]
    card["network_transaction_id"] = operation.network_charge_id or None
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
