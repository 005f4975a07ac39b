"""Declares the fields of objects: the type, the meaning and an example of each.

    REFUND = ObjectType("refund", "Money that goes back.", {"amount": minor("How much.", 500), …})

A declaration stands beside the function that builds the object. The API reference is made from it,
and tests hold every answer to it: a field that is not declared fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from payments import public_ids

Schema = dict[str, Any]

NOTHING: Final = "nothing"
"""What a field expands to that is always null: a request may name it."""
ALWAYS_NULL: Final = "Always null: there is no such thing here."
_SCHEMAS: Final = "#/components/schemas/"
_BECOMES: Final[dict[str, tuple[str, ...]]] = {
    "balance_source": ("charge", "refund", "dispute"),
    "customer": ("customer", "deleted_customer"),
}
"""Where an id can become one of several objects."""
_PREFIXES: Final = {
    "balance_transaction": public_ids.BALANCE_TRANSACTION,
    "customer": public_ids.CUSTOMER,
    "dispute": public_ids.DISPUTE,
    "mandate": public_ids.MANDATE,
    "payment_link": public_ids.PAYMENT_LINK,
    "payment_method": public_ids.PAYMENT_METHOD,
    "setup_intent": public_ids.SETUP_INTENT,
}
"""Of what may be null in examples."""
_EXAMPLE_ID: Final = "C7JqXm2Zt4bW9sKd1RfYvA"
EXAMPLE_SECOND: Final = 1_795_780_800


def example_id(prefix: str) -> str:
    """An id for examples; the same prefix has the same one everywhere."""
    return f"{prefix}_{_EXAMPLE_ID}"


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field. `own` is its JSON Schema without null; `fixed`: it never has another value."""

    own: Schema
    meaning: str
    example: Any = None
    nullable: bool = False
    absent: bool = False
    """Left out, instead of null, when there is no value."""
    fixed: bool = False
    expands: str = ""
    """The object that replaces the id if a request expands the field."""
    sample: Any = None
    """A value, where the example of the object has none."""

    def schema(self) -> Schema:
        """The JSON Schema of the value, with its meaning."""
        own = self.own
        if self.expands != NOTHING and self.expands and own["type"] == "string":
            names = _BECOMES.get(self.expands, (self.expands,))
            own = {"anyOf": [own, *({"$ref": f"{_SCHEMAS}{name}"} for name in names)]}
        if self.nullable:
            own = _or_null(own)
        value = self.sample if self.example in (None, {}, []) else self.example
        examples = {} if value is None or isinstance(value, (dict, list)) else {"examples": [value]}
        return {**own, "description": self.meaning, **examples}

    def but(self, **changes: Any) -> Field:
        """The same field with some of its attributes changed, such as `absent=True`."""
        return replace(self, **changes)


class ObjectType:
    """A type of object: its name, its meaning and its fields; `tag` groups it in the reference."""

    def __init__(self, name: str, meaning: str, fields: Mapping[str, Field]) -> None:
        self.name = name
        self.meaning = meaning
        self.fields = dict(fields)
        self.constants: dict[str, Any] = {
            key: field.example for key, field in self.fields.items() if field.fixed
        }
        """What every object of this type has in common; the function that builds it adds these."""
        self.absent = frozenset(key for key, field in self.fields.items() if field.absent)
        """The fields that are left out when they have no value."""

    def schema(self) -> Schema:
        """The JSON Schema of the object; it has no other fields than these."""
        return {"description": self.meaning, **closed(self.fields)}

    def example(self, **changes: Any) -> dict[str, Any]:
        """An object as it may be answered, with these fields changed."""
        return {**examples_of(self.fields), **changes}


def closed(fields: Mapping[str, Field]) -> Schema:
    """The JSON Schema of an object that has these fields and no others."""
    return {
        "type": "object",
        "required": [name for name, field in fields.items() if not field.absent],
        "properties": {name: field.schema() for name, field in fields.items()},
        "additionalProperties": False,
    }


def examples_of(fields: Mapping[str, Field]) -> dict[str, Any]:
    """The example of each field; an absent one is shown only if it has an example."""
    return {
        name: field.example
        for name, field in fields.items()
        if field.example is not None or not field.absent
    }


def named(object_name: str) -> Field:
    """The field `object`, by which clients tell the types apart."""
    return Field(
        own={"type": "string", "enum": [object_name]},
        meaning="The type of the object.",
        example=object_name,
        fixed=True,
    )


def own_id(prefix: str) -> Field:
    """The object's own id."""
    meaning = f"Its id: `{prefix}_` and 22 letters and digits."
    own = {"type": "string", "pattern": f"^{prefix}_"}
    return Field(own=own, meaning=meaning, example=example_id(prefix))


def id_of(expands: str, meaning: str, prefix: str = "", *, nullable: bool = False) -> Field:
    """The id of another object, which `expand` replaces by the object; shown if it has a prefix."""
    owner = _PREFIXES.get(expands, "")
    return Field(
        sample=example_id(owner) if owner else None,
        own={"type": "string"},
        meaning=meaning,
        example=example_id(prefix) if prefix else None,
        nullable=nullable,
        expands=expands,
    )


def text(
    meaning: str, example: str | None = None, *, nullable: bool = False, sample: str | None = None
) -> Field:
    own = {"type": "string"}
    return Field(own=own, meaning=meaning, example=example, nullable=nullable, sample=sample)


def one_of(meaning: str, *values: str, example: str | None = None, nullable: bool = False) -> Field:
    """One of a few values; the first is the example unless another is named or null is possible."""
    shown = example or (None if nullable else values[0])
    own = {"type": "string", "enum": list(values)}
    return Field(
        own=own, meaning=meaning, example=shown, nullable=nullable, sample=example or values[0]
    )


def integer(
    meaning: str, example: int | None = None, *, nullable: bool = False, sample: int | None = None
) -> Field:
    own = {"type": "integer"}
    return Field(own=own, meaning=meaning, example=example, nullable=nullable, sample=sample)


def minor(meaning: str, example: int) -> Field:
    """An amount in the minor unit of the object's currency."""
    return integer(f"{meaning} In the currency's minor unit.", example)


def second(meaning: str, example: int | None = None, *, nullable: bool = False) -> Field:
    """A time, in seconds since 1970."""
    own = {"type": "integer", "format": "unix-time"}
    meaning = f"{meaning} Unix seconds."
    return Field(
        own=own, meaning=meaning, example=example, nullable=nullable, sample=EXAMPLE_SECOND
    )


def flag(meaning: str, *, example: bool = False) -> Field:
    return Field(own={"type": "boolean"}, meaning=meaning, example=example)


def record(
    meaning: str, fields: Mapping[str, Field], *, nullable: bool = False, shown: bool = True
) -> Field:
    """An object inside the object. Examples have it, unless it may be null and is not `shown`."""
    example = examples_of(fields) if shown or not nullable else None
    return Field(own=closed(fields), meaning=meaning, example=example, nullable=nullable)


def list_of(
    meaning: str, item: Field | Schema, example: list[Any] | None, *, nullable: bool = False
) -> Field:
    items = item.schema() if isinstance(item, Field) else item
    own = {"type": "array", "items": items}
    return Field(own=own, meaning=meaning, example=example, nullable=nullable)


def any_of(meaning: str, *object_names: str, example: Any = None) -> Field:
    """One of these objects, whole."""
    own: Schema = {"anyOf": [ref(name) for name in object_names]}
    if len(object_names) == 1:
        own = ref(object_names[0])
    return Field(own=own, meaning=meaning, example=example)


def always(meaning: str, value: Any) -> Field:
    """A field that has the same value in every object: what it stands for does not exist here."""
    kind = {bool: "boolean", int: "integer", str: "string", dict: "object", list: "array"}
    own: Schema = {"type": kind[type(value)], "const": value}
    shared = isinstance(value, (dict, list))
    return Field(own=own, meaning=meaning, example=value, fixed=not shared)


def always_null(*names: str, meaning: str = ALWAYS_NULL) -> dict[str, Field]:
    """Fields that typed SDKs expect and that never have a value here."""
    field = Field(own={"type": "null"}, meaning=meaning, fixed=True)
    return dict.fromkeys(names, field)


def null_ids(*names: str) -> dict[str, Field]:
    """Ids that are always null; a request may expand them all the same."""
    return {name: field.but(expands=NOTHING) for name, field in always_null(*names).items()}


def metadata() -> Field:
    return Field(
        own={"type": "object", "additionalProperties": {"type": "string"}},
        meaning="Your own key-value pairs.",
        example={"order_id": "6735"},
    )


def currency() -> Field:
    own = {"type": "string", "pattern": "^[a-z]{3}$"}
    return Field(own=own, meaning="ISO 4217 code in lower case.", example="eur")


def livemode() -> Field:
    return flag("`true` with a live key, `false` with a test key.")


def created(what: str) -> Field:
    return second(f"When {what} was created.", EXAMPLE_SECOND)


def ref(object_name: str) -> Schema:
    """The schema of another type of object, by its name in the document."""
    return {"$ref": f"{_SCHEMAS}{object_name}"}


def _or_null(own: Schema) -> Schema:
    kind = own.get("type")
    if not isinstance(kind, str):
        choices = own.get("anyOf", [own])
        return {"anyOf": [*choices, {"type": "null"}]}
    nullable = {**own, "type": [kind, "null"]}
    return {**nullable, "enum": [*own["enum"], None]} if "enum" in own else nullable
