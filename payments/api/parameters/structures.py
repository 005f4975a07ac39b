"""Objects, lists, metadata and ranges, and the parameters that are known but refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from payments.api.card_data import (
    holds_card_number,
    nameable,
    refuse_card_data,
    refuse_card_field,
)
from payments.api.parameters.declaration import (
    ABSENT,
    Parameter,
    Parameters,
    Schema,
)
from payments.api.parameters.scalars import Timestamp
from payments.api.parameters.texts import Text

MAX_METADATA_KEYS: Final = 50
_MAX_KEY_LENGTH: Final = 40
_METADATA: Final = "Your own key-value pairs: up to 50, of 40 and 500 characters."
_METADATA_MERGED: Final = (
    f"{_METADATA} They are merged into those there are: an empty value unsets its key, and "
    "metadata that is empty unsets all."
)
_METADATA_VALUE: Final = Text(max_length=500, lines=True)


class Nested(Parameter):
    """An object with its own parameters; an empty value unsets it ({}) if `can_unset`."""

    def __init__(
        self,
        declared: Mapping[str, Parameter] | Parameters,
        *,
        can_unset: bool = False,
        required: bool = False,
        description: str = "",
    ) -> None:
        super().__init__(required=required, description=description)
        self.parameters = declared if isinstance(declared, Parameters) else Parameters(declared)
        self.can_unset = can_unset

    def read(self, value: Any, name: str, is_text: bool) -> Any:
        if type(value) is not dict:
            if value is None or value == "":
                if self.can_unset:
                    return {}
                self.refuse_empty(name)
            self.refuse(name, "Invalid object.")
        if not value:
            return ABSENT
        return self.parameters.read(value, name, is_text) or ABSENT

    def own_schema(self) -> Schema:
        return object_schema(self.parameters)


class ListOf(Parameter):
    """A list; a form writes `x[]=a&x[]=b` or `x[0]=a&x[1]=b`.

    With `can_unset` the value "", an empty list and JSON null unset it ([]).
    """

    def __init__(
        self,
        item: Parameter,
        *,
        max_items: int,
        required: bool = False,
        can_unset: bool = False,
        description: str = "",
    ) -> None:
        super().__init__(required=required, description=description)
        self.item = item
        self.max_items = max_items
        self.can_unset = can_unset

    def read(self, value: Any, name: str, is_text: bool) -> Any:
        if self.can_unset and value in (None, "", []):
            return []
        if value is None or value == "":
            self.refuse_empty(name)
        members = self._members(value, name, is_text)
        if len(members) > self.max_items:
            self.refuse(name, f"Invalid array: it has more than {self.max_items} members.")
        read = [
            self.item.read(member, f"{name}[{index}]", is_text)
            for index, member in enumerate(members)
        ]
        return [member for member in read if member is not ABSENT] or ABSENT

    def _members(self, value: Any, name: str, is_text: bool) -> list[Any]:
        if type(value) is list:
            return value
        if is_text and type(value) is dict and all(map(_is_index, value)):
            return [value[index] for index in sorted(value, key=int)]
        self.refuse(name, "Invalid array.")

    def own_schema(self) -> Schema:
        return {"type": "array", "items": self.item.schema(), "maxItems": self.max_items}


class Metadata(Parameter):
    """Up to 50 key-value pairs of the merchant.

    JSON integers and booleans become the text that a form would carry (`12`, `true`); other types
    are refused. With `merges` (an update) a value "" unsets its key and empty metadata unsets all
    ({}); without it (a new object) empty values are dropped.
    """

    def __init__(self, *, merges: bool = False, description: str = "") -> None:
        super().__init__(description=description or (_METADATA_MERGED if merges else _METADATA))
        self.merges = merges

    def read(self, value: Any, name: str, is_text: bool) -> Any:
        if value is None or value == "":
            return {} if self.merges else ABSENT
        if type(value) is not dict:
            self.refuse(name, "Invalid metadata: it must be a set of key-value pairs.")
        if len(value) > MAX_METADATA_KEYS:
            self.refuse(name, f"Metadata can have up to {MAX_METADATA_KEYS} keys.")
        given = {}
        for key, member in value.items():
            self._check_key(key, name)
            if not is_text:
                member = _as_text(member)
            text = _METADATA_VALUE.read(member, f"{name}[{key}]", is_text)
            if text or self.merges:
                given[key] = text
        return given or ABSENT

    def _check_key(self, key: str, name: str) -> None:
        if holds_card_number(key):
            refuse_card_data(name)
        refuse_card_field(key, f"{name}[{key}]")
        if not 0 < len(key) <= _MAX_KEY_LENGTH:
            self.refuse(name, f"Metadata keys have between 1 and {_MAX_KEY_LENGTH} characters.")
        if "[" in key or "]" in key or not key.isprintable():
            self.refuse(name, "Metadata keys have no square brackets and no control characters.")

    def own_schema(self) -> Schema:
        return {
            "type": "object",
            "maxProperties": MAX_METADATA_KEYS,
            "additionalProperties": {"type": "string", "maxLength": _METADATA_VALUE.max_length},
        }


_BOUNDS: Final = {
    "gt": "After this second.",
    "gte": "From this second on.",
    "lt": "Before this second.",
    "lte": "Up to this second.",
}


class CreatedRange(Nested):
    """A range of creation times: `created=…` or `created[gte]=…`; parsed as gt, gte, lt, lte."""

    def __init__(self, *, description: str = "") -> None:
        bounds = {bound: Timestamp(description=text) for bound, text in _BOUNDS.items()}
        super().__init__(bounds, description=description or "Unix seconds, or a range of them.")

    def read(self, value: Any, name: str, is_text: bool) -> Any:
        if type(value) is dict:
            return super().read(value, name, is_text)
        second = self.parameters.declared["gte"].read(value, name, is_text)
        return {"gte": second, "lte": second}


class RawCardData(Parameter):
    """A field that would carry a card; every value is refused."""

    documented = False

    def read(self, value: Any, name: str, is_text: bool) -> Any:
        refuse_card_data(name)

    def own_schema(self) -> Schema:
        return {"not": {}}


class Unsupported(Parameter):
    """A parameter of the contract that is not supported; `instead` says what to do."""

    documented = False

    def __init__(self, instead: str) -> None:
        super().__init__()
        self.instead = instead

    def read(self, value: Any, name: str, is_text: bool) -> Any:
        refuse_card_fields(value, name)
        self.refuse(name, f"{name} is not supported. {self.instead}", "parameter_unknown")

    def own_schema(self) -> Schema:
        return {"not": {}}


def object_schema(parameters: Parameters) -> Schema:
    """The OpenAPI schema of an object with these parameters and no others."""
    schema: Schema = {
        "type": "object",
        "properties": {
            name: kind.schema() for name, kind in parameters.declared.items() if kind.documented
        },
        "additionalProperties": False,
    }
    if parameters.required:
        schema["required"] = list(parameters.required)
    return schema


def _is_index(key: str) -> bool:
    return key.isascii() and key.isdigit() and len(key) <= 4 and (key == "0" or key[0] != "0")


def _as_text(member: Any) -> Any:
    """A JSON value as a form would carry it; one that a form cannot carry is refused later."""
    if type(member) is bool:
        return "true" if member else "false"
    return str(member) if type(member) is int else member


def refuse_card_fields(value: Any, name: str) -> None:
    """Refuse card data inside an object that is refused anyway: the more important reason."""
    if type(value) is dict:
        for key, member in value.items():
            refuse_card_field(key, f"{name}[{key}]")
            refuse_card_fields(member, nameable(f"{name}[{key}]"))
