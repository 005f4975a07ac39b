"""Numbers, booleans, choices, currencies and ids.

A form writes every value as text, JSON has types; each is parsed strictly in its own way, and
nothing is coerced.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from ledger.money import CURRENCY_EXPONENTS
from payments.amounts import LARGEST_MINOR
from payments.api.card_data import holds_card_number, refuse_card_data
from payments.api.parameters.declaration import Parameter, Schema
from payments.exceptions import ResourceMissing

_INTEGER: Final = re.compile("0|[1-9][0-9]{0,39}", re.ASCII)
_ID: Final = re.compile("[A-Za-z0-9_]{1,255}", re.ASCII)
_FORM_BOOLEANS: Final = {"true": True, "false": False, "True": True, "False": False}
"""stripe-python up to 12 writes them in Python's own way."""
_CURRENCIES: Final = {
    written: currency for currency in CURRENCY_EXPONENTS for written in (currency, currency.lower())
}
_LAST_SECOND: Final = 253_402_300_799  # of the year 9999


class Integer(Parameter):
    """An integer: JSON's own, or plain decimal digits in a form. Nothing else is a number."""

    code = "parameter_invalid_integer"

    def __init__(
        self,
        *,
        minimum: int = 0,
        maximum: int,
        required: bool = False,
        description: str = "",
    ) -> None:
        super().__init__(required=required, description=description)
        self.minimum = minimum
        self.maximum = maximum

    def read(self, value: Any, name: str, is_text: bool) -> int:
        if is_text:
            if value == "":
                self.refuse_empty(name)
            if type(value) is not str or not _INTEGER.fullmatch(value):
                self.refuse(name, "Invalid integer: write decimal digits only.")
            value = int(value)
        elif type(value) is not int:
            if value is None or value == "":
                self.refuse_empty(name)
            self.refuse(name, "Invalid integer: give a JSON number without fraction or quotes.")
        if value < self.minimum:
            self.refuse(name, f"This value must be greater than or equal to {self.minimum}.")
        if value > self.maximum:
            self.refuse_too_large(name)
        return int(value)

    def refuse_too_large(self, name: str) -> NoReturn:
        self.refuse(name, f"This value must be less than or equal to {self.maximum}.")

    def own_schema(self) -> Schema:
        return {"type": "integer", "minimum": self.minimum, "maximum": self.maximum}


class Amount(Integer):
    """A positive amount in minor units; its currency's limits are checked by payments.amounts."""

    def __init__(self, *, minimum: int = 1, required: bool = False, description: str = "") -> None:
        super().__init__(
            minimum=minimum,
            maximum=LARGEST_MINOR,
            required=required,
            description=description or "In the currency's minor unit: 1099 is 10.99 USD, 1099 JPY.",
        )

    def refuse_too_large(self, name: str) -> NoReturn:
        self.refuse(name, "The amount is larger than any payment can be.", "amount_too_large")


class Timestamp(Integer):
    """Seconds since 1970."""

    def __init__(self, *, required: bool = False, description: str = "") -> None:
        super().__init__(maximum=_LAST_SECOND, required=required, description=description)

    def own_schema(self) -> Schema:
        return {"type": "integer", "format": "unix-time"}


class Boolean(Parameter):
    """`true` or `false`; `unsupported` says why one of them is refused."""

    def __init__(
        self,
        *,
        required: bool = False,
        unsupported: Mapping[bool, str] | None = None,
        description: str = "",
    ) -> None:
        super().__init__(required=required, description=description)
        self.unsupported = dict(unsupported or {})

    def read(self, value: Any, name: str, is_text: bool) -> bool:
        if is_text and type(value) is str:
            value = _FORM_BOOLEANS.get(value, value)
        if type(value) is not bool:
            if value is None or value == "":
                self.refuse_empty(name)
            self.refuse(name, "Invalid boolean: must be true or false.")
        if value in self.unsupported:
            self.refuse(name, self.unsupported[value], "parameter_unknown")
        return bool(value)

    def own_schema(self) -> Schema:
        if self.unsupported:
            allowed = [value for value in (True, False) if value not in self.unsupported]
            return {"type": "boolean", "enum": allowed}
        return {"type": "boolean"}


class Enum(Parameter):
    """One of a few fixed values.

    `aliases`: values parsed as another one. `unsupported`: values of the contract that are refused,
    each with what to do instead. `can_unset`: the empty value is allowed and parsed as "".
    """

    def __init__(
        self,
        *choices: str,
        aliases: Mapping[str, str] | None = None,
        unsupported: Mapping[str, str] | None = None,
        can_unset: bool = False,
        required: bool = False,
        description: str = "",
    ) -> None:
        super().__init__(required=required, description=description)
        self.choices = choices
        self.unsupported = dict(unsupported or {})
        self.can_unset = can_unset
        self.canonical = {**{choice: choice for choice in choices}, **(aliases or {})}

    def read(self, value: Any, name: str, is_text: bool) -> str:
        if type(value) is str:
            canonical = self.canonical.get(value)
            if canonical is not None:
                return canonical
            if value in self.unsupported:
                self.refuse(name, self.unsupported[value], "parameter_unknown")
        if value is None or value == "":
            if self.can_unset:
                return ""
            self.refuse_empty(name)
        self.refuse(name, f"Invalid value: must be one of {', '.join(self.canonical)}.")

    def own_schema(self) -> Schema:
        return {"type": "string", "enum": [*self.canonical, *([""] if self.can_unset else [])]}


class Currency(Parameter):
    """An ISO 4217 code in any case, parsed as upper case; ASCII letters only."""

    def __init__(self, *, required: bool = False, description: str = "") -> None:
        super().__init__(
            required=required, description=description or "ISO 4217 code, in any case."
        )

    def read(self, value: Any, name: str, is_text: bool) -> str:
        if type(value) is str:
            currency = _CURRENCIES.get(value)
            if currency is None and value.isascii():
                currency = _CURRENCIES.get(value.upper())
            if currency is not None:
                return currency
        if value is None or value == "":
            self.refuse_empty(name)
        self.refuse(name, "Invalid currency: give a supported three-letter ISO 4217 code.")

    def own_schema(self) -> Schema:
        return {
            "type": "string",
            "enum": sorted(code.lower() for code in CURRENCY_EXPONENTS),
            "example": "usd",
        }


class PublicId(Parameter):
    """An id with one of these prefixes, such as `pm`; selectors check that it exists.

    `can_unset`: the empty value is allowed and parsed as "".
    """

    def __init__(
        self,
        *prefixes: str,
        noun: str,
        can_unset: bool = False,
        required: bool = False,
        description: str = "",
    ) -> None:
        super().__init__(required=required, description=description or f"A {noun}, by its id.")
        self.can_unset = can_unset
        self.prefixes = tuple(f"{prefix}_" for prefix in prefixes)
        self.noun = noun

    def read(self, value: Any, name: str, is_text: bool) -> str:
        if type(value) is not str or not _ID.fullmatch(value):
            if value is None or value == "":
                if self.can_unset:
                    return ""
                self.refuse_empty(name)
            if type(value) is str and holds_card_number(value):
                refuse_card_data(name)
            self.refuse(name, f"Invalid id: letters, digits and _, starting {self._starts()}.")
        if not value.startswith(self.prefixes):
            if holds_card_number(value):
                refuse_card_data(name)
            raise ResourceMissing(
                f"No such {self.noun}: its id starts {self._starts()}.", param=name
            )
        return value

    def _starts(self) -> str:
        return " or ".join(f"with {prefix}" for prefix in self.prefixes)

    def own_schema(self) -> Schema:
        pattern = f"({'|'.join(self.prefixes)})[A-Za-z0-9_]+"
        return {
            "type": "string",
            "maxLength": 255,
            "pattern": f"^({pattern})?$" if self.can_unset else f"^{pattern}$",
        }
