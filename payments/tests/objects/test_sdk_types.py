"""No field of an object is null where the official SDK's type says that it is not."""

from __future__ import annotations

import builtins
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

import stripe
from stripe._stripe_object import StripeObject

from payments.objects.catalog import OBJECT_TYPES

NOT_TOLD = {
    "payment_method.card.exp_month",
    "payment_method.card.exp_year",
    "payment_method.card.last4",
    "charge.payment_method_details.card.exp_month",
    "charge.payment_method_details.card.exp_year",
}
"""Some PSPs do not tell them, and there is no other value that means so."""


class Names(dict[str, Any]):
    """What a type may name; the SDK imports its classes when they are first used."""

    def __missing__(self, name: str) -> Any:
        return getattr(stripe, name, Any)


def hints_of(sdk_class: Any) -> dict[str, Any]:
    """The types of its fields; the SDK nests classes."""
    scope: Any = sys.modules[sdk_class.__module__]
    known = Names(vars(builtins) | vars(scope) | {"Mapping": Mapping})
    for part in sdk_class.__qualname__.split("."):
        scope = getattr(scope, part)
        known.update({name: each for name, each in vars(scope).items() if isinstance(each, type)})
    own_fields = type("OwnFields", (), {"__annotations__": sdk_class.__annotations__})
    return typing.get_type_hints(own_fields, {}, known)


def members(hint: Any) -> Iterator[Any]:
    """The parts of a type, but not of what it lists."""
    yield hint
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        for part in typing.get_args(hint):
            yield from members(part)


def shapes(schema: Any) -> list[Any]:
    return [schema, *schema.get("anyOf", ()), *schema.get("oneOf", ())]


def may_be_null(schema: Any) -> bool:
    kinds = [each.get("type") for each in shapes(schema)]
    return any(kind == "null" or (isinstance(kind, list) and "null" in kind) for kind in kinds)


def nulls(schema: Any, sdk_class: Any, where: str) -> Iterator[str]:
    """The fields that may be null and whose SDK type may not."""
    hints = hints_of(sdk_class)
    for name in schema["properties"].keys() & hints.keys():
        declared, parts = schema["properties"][name], list(members(hints[name]))
        if may_be_null(declared) and not {type(None), Any}.intersection(parts):
            yield f"{where}.{name}"
        for inner in shapes(declared):
            for part in parts:
                is_object = isinstance(part, type) and issubclass(part, StripeObject)
                if inner.get("properties") and is_object:
                    yield from nulls(inner, part, f"{where}.{name}")


def test_a_field_may_be_null_only_where_its_sdk_type_may() -> None:
    named = {name: getattr(stripe, name.title().replace("_", ""), None) for name in OBJECT_TYPES}
    walked = {name: sdk_class for name, sdk_class in named.items() if sdk_class is not None}
    assert len(walked) > 10
    found = {
        each
        for name, sdk_class in walked.items()
        for each in nulls(OBJECT_TYPES[name].schema(), sdk_class, name)
    }
    assert found == NOT_TOLD
