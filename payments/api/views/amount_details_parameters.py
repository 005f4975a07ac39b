"""Parameters `amount_details` and `level3`: what was bought, line by line, for lower card fees."""

from __future__ import annotations

from typing import Any, Final

import orjson

from payments.amounts import LARGEST_MINOR
from payments.api.parameters import (
    Boolean,
    Integer,
    ListOf,
    Nested,
    Parameter,
    Parameters,
    Text,
    Unsupported,
)
from payments.exceptions import InvalidParameter

LINES_MAX: Final = 200
BYTES_MAX: Final = 64 * 1024
_QUANTITY_MAX: Final = 10**9
_OTHER_METHODS: Final = Unsupported("Only details for cards are passed on: remove it.")


def _minor(description: str, *, least: int = 0, required: bool = False) -> Integer:
    return Integer(
        minimum=least,
        maximum=LARGEST_MINOR,
        required=required,
        description=f"{description} In the currency's minor unit.",
    )


def _postal_code(description: str) -> Text:
    return Text(max_length=10, description=description)


def _tax(description: str) -> Nested:
    return Nested({"total_tax_amount": _minor("The tax.", required=True)}, description=description)


def _quantity(*, required: bool) -> Integer:
    return Integer(minimum=1, maximum=_QUANTITY_MAX, required=required, description="How many.")


def _bounded(name: str, declared: dict[str, Parameter]) -> Parameters:
    """These parameters, together small enough to be stored with every payment."""

    def check(given: dict[str, Any]) -> None:
        if len(orjson.dumps(given)) > BYTES_MAX:
            raise InvalidParameter(
                f"{name} has more than {BYTES_MAX} bytes. Shorten the names, or join lines.",
                param=name,
            )

    return Parameters(declared, checks=(check,))


_LINE: Final[dict[str, Parameter]] = {
    "discount_amount": _minor("Discount on this line.", least=1),
    "payment_method_options": Nested(
        {
            "card": Nested(
                {"commodity_code": Text(max_length=12, description="What kind of goods it is.")},
                description="Details for card networks.",
            ),
            "card_present": _OTHER_METHODS,
            "klarna": _OTHER_METHODS,
            "paypal": _OTHER_METHODS,
        },
        description="Details for one type of payment method.",
    ),
    "product_code": Text(max_length=12, description="Such as the article number."),
    "product_name": Text(max_length=1024, required=True, description="What it is."),
    "quantity": _quantity(required=True),
    "tax": _tax("The tax on this line, all pieces together."),
    "unit_cost": _minor("The price of one piece, without tax.", required=True),
    "unit_of_measure": Text(max_length=12, description="Such as kg."),
}


def amount_details(*, can_unset: bool = False) -> Nested:
    """`amount_details` of a payment, kept, shown and passed to a PSP that takes it."""
    declared: dict[str, Parameter] = {
        "discount_amount": _minor("Discount on everything.", least=1),
        "enforce_arithmetic_validation": Boolean(
            description="false keeps details that do not add up, shows the error, and does not "
            "pass them to the payment provider."
        ),
        "line_items": ListOf(
            Nested(_LINE, description="One line of the order."),
            max_items=LINES_MAX,
            can_unset=True,
            description="What was bought. With them the details must add up to the amount.",
        ),
        "shipping": Nested(
            {
                "amount": _minor("What shipping costs."),
                "from_postal_code": _postal_code("Where it is shipped from."),
                "to_postal_code": _postal_code("Where it is shipped to."),
            },
            description="The shipping part of the amount.",
        ),
        "tax": _tax("The tax on everything, instead of tax on lines."),
    }
    return Nested(
        _bounded("amount_details", declared),
        can_unset=can_unset,
        description="What the amount is made of. Replaces what was given before.",
    )


def level3(*, can_unset: bool = False) -> Nested:
    """`level3`, the older form of the same data."""
    line: dict[str, Parameter] = {
        "discount_amount": _minor("Discount on this line."),
        "product_code": Text(max_length=12, required=True, description="The article number."),
        "product_description": Text(max_length=1024, required=True, description="What it is."),
        "quantity": _quantity(required=False),
        "tax_amount": _minor("The tax on this line, all pieces together."),
        "unit_cost": _minor("The price of one piece, without tax."),
    }
    declared: dict[str, Parameter] = {
        "customer_reference": Text(max_length=25, description="The customer's order number."),
        "line_items": ListOf(
            Nested(line, description="One line of the order."),
            max_items=LINES_MAX,
            required=True,
            description="What was bought. It must add up to the amount.",
        ),
        "merchant_reference": Text(max_length=25, required=True, description="Your order number."),
        "shipping_address_zip": _postal_code("Where it is shipped to."),
        "shipping_amount": _minor("What shipping costs."),
        "shipping_from_zip": _postal_code("Where it is shipped from."),
    }
    return Nested(
        _bounded("level3", declared),
        can_unset=can_unset,
        description="Level 3 data in the older form: not together with amount_details.",
    )
