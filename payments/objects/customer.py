"""The customer as the merchant sees it."""

from __future__ import annotations

from typing import Any, Final

from payments import public_ids
from payments.models import Customer
from payments.objects.fields import (
    ObjectType,
    always,
    always_null,
    created,
    id_of,
    list_of,
    livemode,
    metadata,
    named,
    null_ids,
    one_of,
    own_id,
    record,
    text,
)
from payments.objects.parts import (
    address_field,
    address_object,
    public_id,
    reference,
    shipping_field,
    shipping_object,
    unix_seconds_of,
)

_NO_INVOICES: Final = always_null("custom_fields", "footer", "rendering_options")
_INVOICE_CONSTANTS: Final = dict.fromkeys(_NO_INVOICES)
INVOICE_SETTINGS: Final = {
    "default_payment_method": id_of(
        "payment_method", "One of this customer, kept for you: name it to charge it.", nullable=True
    ),
    **_NO_INVOICES,
}

CUSTOMER: Final = ObjectType(
    "customer",
    "A person or company that pays the merchant, more than once perhaps.",
    {
        "id": own_id(public_ids.CUSTOMER),
        "object": named("customer"),
        "address": address_field("The address; null if none was given.", nullable=True),
        "balance": always("Customers have no balance here.", 0),
        "created": created("the customer"),
        "delinquent": always("There are no invoices here.", False),
        "description": text("Your own text.", sample="A regular", nullable=True),
        "email": text("The email address.", "ada@example.com", nullable=True),
        "invoice_settings": record(
            "There are no invoices here, but a default.", INVOICE_SETTINGS
        ).but(expands="invoice_settings"),
        "livemode": livemode(),
        "metadata": metadata(),
        "name": text("The name.", "Ada Lovelace", nullable=True),
        "phone": text("The phone number, as it was given.", sample="+49 30 901820", nullable=True),
        "preferred_locales": list_of(
            "Languages, most preferred first.", text("A language."), ["de"]
        ),
        "shipping": shipping_field(),
        "tax_exempt": one_of("Kept for you: no tax here.", "none", "exempt", "reverse"),
        **null_ids("default_source", "test_clock"),
        **always_null("currency", "customer_account", "discount", "invoice_prefix"),
    },
)

DELETED_CUSTOMER: Final = ObjectType(
    "deleted_customer",
    "What is left of a deleted customer.",
    {
        "id": own_id(public_ids.CUSTOMER),
        "object": named("customer"),
        "deleted": always("It was deleted.", True),
    },
)


def customer_object(customer: Customer) -> dict[str, Any]:
    """A customer; of a deleted one only the stub remains."""
    if customer.deleted_at is not None:
        return deleted_customer_object(customer)
    return {
        "id": public_id(public_ids.CUSTOMER, customer.id),
        **CUSTOMER.constants,
        "address": address_object(customer.address) if customer.address else None,
        "created": unix_seconds_of(customer.id),
        "description": customer.description or None,
        "email": customer.email or None,
        "invoice_settings": {
            **_INVOICE_CONSTANTS,
            "default_payment_method": reference(
                public_ids.PAYMENT_METHOD, customer.default_payment_method_id
            ),
        },
        "livemode": customer.livemode,
        "metadata": customer.metadata,
        "name": customer.name or None,
        "phone": customer.phone or None,
        "preferred_locales": customer.preferred_locales,
        "shipping": shipping_object(customer.shipping),
        "tax_exempt": customer.tax_exempt,
    }


def deleted_customer_object(customer: Customer) -> dict[str, Any]:
    """What is left of a deleted customer."""
    return {
        "id": public_id(public_ids.CUSTOMER, customer.id),
        **DELETED_CUSTOMER.constants,
    }
