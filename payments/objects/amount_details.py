"""What an amount is made of, as the merchant said: `amount_details`, its lines, and `level3`."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from payments import public_ids
from payments.models import PaymentIntent
from payments.objects.fields import (
    Field,
    ObjectType,
    always,
    integer,
    list_of,
    minor,
    named,
    one_of,
    own_id,
    record,
    text,
)
from payments.objects.parts import list_object, page_of, public_id

_NAME: Final = "payment_intent_amount_details_line_item"
_TAX: Final = {"total_tax_amount": minor("The tax.", 200)}
_ADDS_UP: Final = (
    *("amount_details_amount_mismatch",),
    "amount_details_tax_shipping_discount_greater_than_amount",
)

LINE_ITEM: Final = ObjectType(
    _NAME,
    "One line of what was bought.",
    {
        "id": own_id(public_ids.LINE_ITEM),
        "object": named(_NAME),
        "discount_amount": minor("Discount on this line.", 100).but(nullable=True),
        "payment_method_options": Field(
            own={"type": "object"}, meaning="Details for card networks.", nullable=True
        ),
        "product_code": text("The article number.", "B-17", nullable=True),
        "product_name": text("What it is.", "Two books"),
        "quantity": integer("How many.", 2),
        "tax": record("The tax on this line.", _TAX, nullable=True, shown=False),
        "unit_cost": minor("The price of one piece.", 500),
        "unit_of_measure": text("Such as kg.", sample="kg", nullable=True),
    },
)

AMOUNT_DETAILS: Final = {
    "discount_amount": minor("Discount on everything.", 100).but(
        absent=True, example=None, sample=100
    ),
    "error": record(
        "Why the details do not add up; only with `enforce_arithmetic_validation=false`.",
        {
            "code": one_of("As in errors.", *_ADDS_UP),
            "message": text("What to correct.", sample="The lines do not add up to the amount."),
        },
    ).but(absent=True, example=None),
    "line_items": record(
        "What was bought, in its order; there only if the request expands it.",
        page_of(_NAME).fields,
    ).but(absent=True, example=None, expands="line_item_list"),
    "shipping": record(
        "The shipping part.",
        {
            "amount": minor("What shipping costs.", 300).but(absent=True),
            "from_postal_code": text("Where it is shipped from.", sample="10969").but(absent=True),
            "to_postal_code": text("Where it is shipped to.", sample="10969").but(absent=True),
        },
    ).but(absent=True, example=None),
    "tax": record("The tax on everything.", _TAX).but(absent=True, example=None),
    "tip": always("There are no tips here.", {}),
}
"""The fields of `amount_details`; those that the merchant did not give are absent."""
_SHOWN: Final = ("discount_amount", "error", "shipping", "tax")

LEVEL3: Final = record(
    "Level 3 data, as the merchant gave it for the payment.",
    {
        "customer_reference": text("The customer's order number.", sample="PO-118").but(
            absent=True
        ),
        "line_items": list_of(
            "What was bought.",
            Field(own={"type": "object"}, meaning="One line, as it was given."),
            [],
        ),
        "merchant_reference": text("The merchant's order number.", "6735"),
        "shipping_address_zip": text("Where it is shipped to.", sample="10969").but(absent=True),
        "shipping_amount": minor("What shipping costs.", 300).but(absent=True),
        "shipping_from_zip": text("Where it is shipped from.", sample="10969").but(absent=True),
    },
).but(absent=True, example=None)
"""The field `level3` of a charge."""


def amount_details_object(given: dict[str, Any] | None) -> dict[str, Any]:
    """What the amount is made of, without its lines."""
    shown: dict[str, Any] = {"tip": {}}
    if given:
        shown |= {name: given[name] for name in _SHOWN if name in given}
    return shown


def line_items_object(intent: PaymentIntent) -> dict[str, Any]:
    """The lines of a payment, all on one page."""
    lines = (intent.amount_details or {}).get("line_items", [])
    rows = [_line_item(intent.id, number, each) for number, each in enumerate(lines, start=1)]
    url = f"/v1/payment_intents/{intent.public_id}/amount_details_line_items"
    return list_object(url, rows, has_more=False)


def _line_item(intent_id: UUID, number: int, given: dict[str, Any]) -> dict[str, Any]:
    # The id of a line follows from the payment's, so that it needs no row.
    return {
        "id": public_id(public_ids.LINE_ITEM, UUID(int=intent_id.int ^ number)),
        "object": _NAME,
        "discount_amount": given.get("discount_amount"),
        "payment_method_options": given.get("payment_method_options"),
        "product_code": given.get("product_code") or None,
        "product_name": given["product_name"],
        "quantity": given["quantity"],
        "tax": given.get("tax"),
        "unit_cost": given["unit_cost"],
        "unit_of_measure": given.get("unit_of_measure") or None,
    }
