"""The customer as the merchant sees it."""

from __future__ import annotations

from typing import Any

from payments import public_ids
from payments.models import Customer
from payments.objects.parts import (
    address_object,
    public_id,
    reference,
    shipping_object,
    unix_seconds_of,
)


def customer_object(customer: Customer) -> dict[str, Any]:
    """A customer; of a deleted one only the stub remains."""
    if customer.deleted_at is not None:
        return deleted_customer_object(customer)
    return {
        "id": public_id(public_ids.CUSTOMER, customer.id),
        "object": "customer",
        "address": address_object(customer.address) if customer.address else None,
        "balance": 0,
        "created": unix_seconds_of(customer.id),
        "currency": None,
        "customer_account": None,
        "default_source": None,
        "delinquent": False,
        "description": customer.description or None,
        "discount": None,
        "email": customer.email or None,
        "invoice_prefix": None,
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": reference(
                public_ids.PAYMENT_METHOD, customer.default_payment_method_id
            ),
            "footer": None,
            "rendering_options": None,
        },
        "livemode": customer.livemode,
        "metadata": customer.metadata,
        "name": customer.name or None,
        "phone": customer.phone or None,
        "preferred_locales": customer.preferred_locales,
        "shipping": shipping_object(customer.shipping),
        "tax_exempt": customer.tax_exempt,
        "test_clock": None,
    }


def deleted_customer_object(customer: Customer) -> dict[str, Any]:
    """What is left of a deleted customer."""
    return {
        "id": public_id(public_ids.CUSTOMER, customer.id),
        "object": "customer",
        "deleted": True,
    }
