"""Payment methods: the object, and the snapshot of one that a charge keeps.

Tokens are never shown: they are a secret between the PSP and us.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from payments import public_ids
from payments.models import PaymentMethod
from payments.objects.parts import billing_details_object, public_id, reference, unix_seconds_of


def payment_method_object(method: PaymentMethod) -> dict[str, Any]:
    """A payment method as the merchant sees it."""
    return _method_object(
        method.id,
        method_type=method.method_type,
        details=_details(method),
        billing_details=method.billing_details,
        customer_id=method.customer_id,
        livemode=method.livemode,
        metadata=method.metadata,
    )


def payment_method_snapshot(
    method: PaymentMethod, *, multiple_captures: bool = False, increments: bool = False
) -> dict[str, Any]:
    """What a charge shows of its method for ever: the type, its details and the billing details.

    Of a charge that is captured later, also what the PSP allows until then.
    """
    return {
        "type": method.method_type,
        method.method_type: _details(method),
        "billing_details": method.billing_details,
        "multiple_captures": multiple_captures,
        "increments": increments,
    }


def charged_method_details(snapshot: dict[str, Any] | None) -> dict[str, Any] | None:
    """The `payment_method_details` of a charge, from the snapshot it was sent with."""
    if not snapshot:
        return None
    method_type = snapshot["type"]
    details = snapshot.get(method_type) or {}
    if method_type != "card":
        return {"type": method_type, method_type: details}
    return {
        "type": "card",
        "card": {
            "amount_authorized": None,
            "brand": details.get("brand"),
            "checks": details.get("checks"),
            "country": details.get("country"),
            "exp_month": details.get("exp_month"),
            "exp_year": details.get("exp_year"),
            "extended_authorization": {"status": "disabled"},
            "fingerprint": details.get("fingerprint"),
            "funding": details.get("funding"),
            "incremental_authorization": _availability(snapshot, "increments"),
            "installments": None,
            "last4": details.get("last4"),
            "mandate": None,
            "multicapture": _availability(snapshot, "multiple_captures"),
            "network": details.get("brand"),
            "network_token": {"used": False},
            "network_transaction_id": None,
            "overcapture": {"status": "unavailable"},
            "regulated_status": None,
            "three_d_secure": None,
            "wallet": None,
        },
    }


def _availability(snapshot: dict[str, Any], name: str) -> dict[str, str]:
    return {"status": "available" if snapshot.get(name) else "unavailable"}


def charged_method_object(
    identifier: UUID,
    snapshot: dict[str, Any],
    *,
    customer_id: UUID | None,
    livemode: bool,
) -> dict[str, Any]:
    """The method of a failed charge, as errors show it, rebuilt from the charge's snapshot."""
    method_type = snapshot["type"]
    return _method_object(
        identifier,
        method_type=method_type,
        details=snapshot.get(method_type) or {},
        billing_details=snapshot.get("billing_details"),
        customer_id=customer_id,
        livemode=livemode,
        metadata={},
    )


def _method_object(
    identifier: UUID,
    *,
    method_type: str,
    details: dict[str, Any],
    billing_details: dict[str, Any] | None,
    customer_id: UUID | None,
    livemode: bool,
    metadata: dict[str, str],
) -> dict[str, Any]:
    return {
        "id": public_id(public_ids.PAYMENT_METHOD, identifier),
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": billing_details_object(billing_details),
        method_type: details,
        "created": unix_seconds_of(identifier),
        "customer": reference(public_ids.CUSTOMER, customer_id),
        "customer_account": None,
        "livemode": livemode,
        "metadata": metadata,
        "radar_options": {},
        "type": method_type,
    }


def _details(method: PaymentMethod) -> dict[str, Any]:
    if method.method_type == "ideal":
        return {"bank": None, "bic": None}
    if method.method_type != "card":
        return {
            "country": method.country or None,
            "fingerprint": method.fingerprint or None,
            "last4": method.last4 or None,
        }
    brand = method.brand or "unknown"
    return {
        "brand": brand,
        "checks": {
            "address_line1_check": None,
            "address_postal_code_check": None,
            "cvc_check": None,
        },
        "country": method.country or None,
        "display_brand": brand,
        "exp_month": method.expiry_month,
        "exp_year": method.expiry_year,
        "fingerprint": method.fingerprint or None,
        "funding": method.funding or "unknown",
        "generated_from": None,
        "last4": method.last4 or None,
        "networks": {"available": [brand], "preferred": None},
        "regulated_status": None,
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }
