"""Declares an endpoint's parameters and validates a request against them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any, ClassVar, Final, NoReturn

from payments.api.card_data import (
    holds_card_number,
    nameable,
    refuse_card_data,
    refuse_card_field,
)
from payments.api.decoding import FormValues
from payments.exceptions import InvalidParameter

ABSENT: Final = object()
"""The value of an empty object or list: a form cannot express one, so it counts as not given."""

Schema = dict[str, Any]


class Parameter(ABC):
    """One declared parameter: how its value is parsed, and how it is documented."""

    code: ClassVar[str] = "parameter_invalid"
    documented: ClassVar[bool] = True

    def __init__(self, *, required: bool = False, description: str = "") -> None:
        self.required = required
        self.description = description

    @abstractmethod
    def read(self, value: Any, name: str, is_text: bool) -> Any:
        """The canonical value, or ABSENT.

        `name` is the full name in bracket notation, for error messages. `is_text`: the value comes
        from a form or query, where every leaf is a string. Raises InvalidParameter.
        """

    @abstractmethod
    def own_schema(self) -> Schema:
        """The OpenAPI schema of the value, without its description."""

    def schema(self) -> Schema:
        """The OpenAPI schema of the value."""
        schema = self.own_schema()
        return {**schema, "description": self.description} if self.description else schema

    def refuse(self, name: str, message: str, code: str = "") -> NoReturn:
        """Raise InvalidParameter for the parameter of this name."""
        raise InvalidParameter(message, code=code or self.code, param=name)

    def refuse_empty(self, name: str) -> NoReturn:
        """Raise InvalidParameter for an empty value that cannot unset anything."""
        shown = f" for '{name}'" if name else ""
        self.refuse(
            name,
            f"You passed an empty value{shown}. We assume empty values are an attempt to unset a "
            "parameter; this one cannot be unset. Remove it or give it a value.",
            "parameter_invalid_empty",
        )


class Parameters:
    """The parameters of one endpoint, or of one nested object.

    `exclusive`: groups of which at most one may be given. `at_least_one`: groups of which one must
    be. `checks`: called with the parsed values, for rules over several parameters. `example`: a
    request as the reference shows it.
    """

    def __init__(
        self,
        declared: Mapping[str, Parameter],
        *,
        exclusive: Iterable[tuple[str, ...]] = (),
        at_least_one: Iterable[tuple[str, ...]] = (),
        checks: Iterable[Callable[[dict[str, Any]], None]] = (),
        example: Mapping[str, Any] | None = None,
    ) -> None:
        self.declared = dict(declared)
        self.exclusive = tuple(exclusive)
        self.at_least_one = tuple(at_least_one)
        self.checks = tuple(checks)
        self.example = dict(example or {})
        self.required = tuple(name for name, kind in self.declared.items() if kind.required)
        for group in (*self.exclusive, *self.at_least_one):
            if unknown := set(group) - set(self.declared):
                raise ValueError(f"a group names undeclared parameters: {sorted(unknown)}")

    def validate(self, decoded: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters given in a request, canonical and typed.

        `decoded` comes from decode_body or decode_query. Raises InvalidParameter with the code and
        the parameter's name in bracket notation, such as `shipping[address][city]`.
        """
        return self.read(decoded, "", isinstance(decoded, FormValues))

    def read(self, values: Mapping[str, Any], prefix: str, is_text: bool) -> dict[str, Any]:
        """Validate an object nested at `prefix`."""
        declared = self.declared
        given: dict[str, Any] = {}
        for key, value in values.items():
            name = f"{prefix}[{key}]" if prefix else key
            kind = declared.get(key)
            if kind is None:
                self._refuse_unknown(key, name)
            canonical = kind.read(value, name, is_text)
            if canonical is not ABSENT:
                given[key] = canonical
        for key in self.required:
            if key not in given:
                _refuse_missing(_bracket(prefix, key))
        if self.exclusive or self.at_least_one:
            self._check_groups(given, prefix)
        for check in self.checks:
            check(given)
        return given

    def _check_groups(self, given: dict[str, Any], prefix: str) -> None:
        for group in self.exclusive:
            present = [key for key in group if key in given]
            if len(present) > 1:
                raise InvalidParameter(
                    f"You may only specify one of these parameters: {', '.join(group)}.",
                    code="parameters_exclusive",
                    param=_bracket(prefix, present[1]),
                )
        for group in self.at_least_one:
            if not any(key in given for key in group):
                raise InvalidParameter(
                    f"One of these parameters is required: {', '.join(group)}.",
                    code="parameter_missing",
                    param=_bracket(prefix, group[0]),
                )

    def _refuse_unknown(self, key: str, name: str) -> NoReturn:
        refuse_card_field(key, name)
        shown = nameable(name)
        if holds_card_number(key):
            refuse_card_data(shown)
        message = f"Received unknown parameter: {shown}."
        if near := get_close_matches(key[:80], self.declared, 1, 0.75):
            message += f" Did you mean {near[0]}?"
        raise InvalidParameter(message, code="parameter_unknown", param=shown)


def _refuse_missing(name: str) -> NoReturn:
    raise InvalidParameter(
        f"Missing required parameter: {name}.", code="parameter_missing", param=name
    )


def _bracket(prefix: str, key: str) -> str:
    return f"{prefix}[{key}]" if prefix else key
