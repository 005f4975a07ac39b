"""Payments, operations and effects as JSON-ready dictionaries."""

from __future__ import annotations

from typing import Any

from psp_adapters.sandbox_psp.state.records import Effect, Operation, Payment, iso
from psp_adapters.sandbox_psp.tokens import EXPIRY_MONTH, EXPIRY_YEAR, TOKENS


def payment_summary(payment: Payment) -> dict[str, Any]:
    """The payment's amounts, as shown with every operation."""
    return {
        "id": payment.id,
        "status": payment.status,
        "authorized_minor": payment.authorized_minor,
        "captured_minor": payment.captured_minor,
        "refunded_minor": payment.refunded_minor,
        "voided_minor": payment.voided_minor + payment.released_minor + payment.expired_minor,
        "held_minor": payment.held_minor,
        "expires_at": iso(payment.expires_ms),
        "settles_at_once": TOKENS[payment.token].settles_at_once,
    }


def operation_view(operation: Operation, *, base_url: str) -> dict[str, Any]:
    """One operation with the amounts of its payment."""
    payment = operation.payment
    view: dict[str, Any] = {
        "object": "operation",
        "id": operation.id,
        "seq": operation.seq,
        "kind": operation.kind,
        "status": operation.status,
        "reference": operation.reference,
        "payment_id": payment.id,
        "order_id": payment.order_id,
        "amount_minor": operation.amount_minor,
        "currency": payment.currency,
        "final": operation.final,
        "created_at": iso(operation.at_ms),
        "payment": payment_summary(payment),
    }
    is_card = TOKENS[payment.token].method_type == "card"
    if operation.kind == "authorize" and is_card and payment.network_transaction_id:
        view["network_transaction_id"] = payment.network_transaction_id
    if operation.purchase is not None:
        view["purchase"] = operation.purchase
    if operation.code:
        view["error"] = _reason(operation)
    if operation.status == "requires_action":
        view["challenge_url"] = f"{base_url}/challenge/{payment.id}"
    return view


def declined_view(operation: Operation, *, base_url: str) -> dict[str, Any]:
    """The body of a 402: the reason and the operation."""
    return {
        "error": {"type": "declined", **_reason(operation)},
        "operation": operation_view(operation, base_url=base_url),
    }


def payment_view(payment: Payment, *, base_url: str) -> dict[str, Any]:
    """The whole payment with its operations."""
    token = TOKENS[payment.token]
    is_card = token.method_type == "card"
    return {
        "object": "payment",
        **payment_summary(payment),
        "reference": payment.reference,
        "order_id": payment.order_id,
        "amount_minor": payment.amount_minor,
        "currency": payment.currency,
        "capture": payment.capture,
        "return_url": payment.return_url,
        "metadata": payment.metadata,
        "refund_pending_minor": payment.refund_pending_minor,
        "expired_minor": payment.expired_minor,
        "expired_at": iso(payment.expired_ms) if payment.expired_ms else None,
        "created_at": iso(payment.created_ms),
        "method_type": token.method_type,
        "mandate": payment.mandate or None,
        "card": {
            "brand": token.brand,
            "last4": token.last4,
            "exp_month": EXPIRY_MONTH,
            "exp_year": EXPIRY_YEAR,
            "country": token.country,
            "fingerprint": token.fingerprint,
            "funding": token.funding,
        }
        if is_card
        else None,
        "operations": [
            operation_view(operation, base_url=base_url) for operation in payment.operations
        ],
    }


def effect_view(effect: Effect) -> dict[str, Any]:
    """One effect, as harnesses read it."""
    return {
        "seq": effect.seq,
        "kind": effect.kind,
        "id": effect.id,
        "reference": effect.reference,
        "payment_id": effect.payment.id,
        "order_id": effect.payment.order_id,
        "amount_minor": effect.amount_minor,
        "released_minor": effect.released_minor,
        "fee_minor": effect.fee_minor,
        "interchange_minor": effect.interchange_minor,
        "scheme_fee_minor": effect.scheme_fee_minor,
        "currency": effect.payment.currency,
        "at": iso(effect.at_ms),
    }


def _reason(operation: Operation) -> dict[str, str]:
    return {
        "code": operation.code,
        "decline_code": operation.decline_code,
        "message": operation.message,
    }
