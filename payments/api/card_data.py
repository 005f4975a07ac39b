"""Refuses card data in requests: numbers, and fields that exist only to carry it.

`psp_adapters.contract.card_numbers` finds the numbers. Which parameters are searched is decided by
their types. No message may repeat what was found.
"""

from __future__ import annotations

from typing import Final, NoReturn

from payments.exceptions import InvalidParameter
from psp_adapters.contract.card_numbers import holds_card_number as holds_card_number

_CARD_FIELDS: Final = frozenset(
    {"cvc", "cvc2", "cvv", "cvv2", "cvn", "card_cvc", "card_number", "cardnumber"}
    | {"track_data", "track1", "track2"}
)


def nameable(name: str) -> str:
    """A parameter's name as an error may show it: short, printable, without a card number."""
    if holds_card_number(name):
        head = name.partition("[")[0]
        return "" if holds_card_number(head) else head
    shortened = name if len(name) <= 120 else f"{name[:119]}…"
    return shortened if shortened.isprintable() else shortened.encode("unicode_escape").decode()


def refuse_card_field(key: str, name: str) -> None:
    """Refuse a field that exists only to carry card data, such as `cvc`."""
    if key.lower() in _CARD_FIELDS or (key == "number" and "card" in name):
        refuse_card_data(nameable(name))


def refuse_card_data(name: str) -> NoReturn:
    """Raise the one refusal of card data, without what was found."""
    raise InvalidParameter(
        "Card data is not allowed here: nothing of your request was stored. Let the payment "
        "provider's own fields collect the card and send us the token they return.",
        code="card_data_not_allowed",
        param=name,
    )


def refuse_card_in_path(public_id: str) -> None:
    """Raise InvalidParameter for what could be a card number, without repeating it."""
    if holds_card_number(public_id):
        raise InvalidParameter(
            "Card data is not allowed here: nothing of your request was stored.",
            code="card_data_not_allowed",
        )
