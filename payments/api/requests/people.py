"""Names and addresses of people, shared by several resources."""

from __future__ import annotations

from typing import Final

from payments.api.parameters import Email, Nested, Parameter, Phone, Text


def _line(max_length: int = 200) -> Text:
    return Text(max_length=max_length)


ADDRESS_FIELDS: Final[dict[str, Parameter]] = {
    "line1": _line(),
    "line2": _line(),
    "city": _line(),
    "state": _line(),
    "postal_code": _line(20),
    "country": Text(
        max_length=2,
        pattern="[A-Za-z]{2}",
        rule="a country is its two-letter ISO 3166 code",
        description="ISO 3166 two-letter code.",
    ),
}


def address(*, required: bool = False) -> Nested:
    """A postal address."""
    return Nested(ADDRESS_FIELDS, can_unset=not required, required=required)


def shipping(*, can_unset: bool = False) -> Nested:
    """Recipient and address of the shipment."""
    return Nested(
        {
            "address": address(required=True),
            "name": Text(max_length=256, required=True),
            "phone": Phone(),
            "carrier": _line(),
            "tracking_number": _line(),
        },
        can_unset=can_unset,
    )


def billing_details() -> Nested:
    """The payment method's owner."""
    return Nested(
        {
            "address": address(),
            "email": Email(),
            "name": Text(max_length=256),
            "phone": Phone(),
        }
    )
