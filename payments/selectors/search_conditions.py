"""Conditions of a search, and those that several kinds of objects share.

A condition says what matches (`q`), and, if few rows of a merchant match, which index leads to them
(`lead`): a condition that every match fulfills as well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.db.models import BooleanField, F, Func, JSONField, Q, Value
from django.db.models.functions import Lower
from django.db.models.lookups import (
    Exact,
    GreaterThan,
    GreaterThanOrEqual,
    LessThan,
    LessThanOrEqual,
)

from payments import public_ids
from payments.selectors.paging import created_bounds
from payments.selectors.scope import Scope
from payments.selectors.search_query import Clause, refuse_query

SUBSTRING_SHORTEST: Final = 3
_NO_ID: Final = UUID(int=0)
_WHOLE_NUMBER: Final = re.compile("[0-9]{1,18}", re.ASCII)
EXACT: Final = (":",)
TEXT: Final = (":", "~")
NUMERIC: Final = {
    ":": ("gte", "lte"),
    ">": ("gt",),
    ">=": ("gte",),
    "<": ("lt",),
    "<=": ("lte",),
}
LOOKUPS: Final = {
    ":": Exact,
    ">": GreaterThan,
    ">=": GreaterThanOrEqual,
    "<": LessThan,
    "<=": LessThanOrEqual,
}


@dataclass(frozen=True, slots=True)
class Condition:
    """What matches, and what leads to it by an index; no `lead`: rows are read newest first."""

    q: Q
    lead: Q | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchField:
    """One field of an object: its operators, and its conditions."""

    operators: tuple[str, ...]
    matches: Callable[[Scope, Clause], Condition]
    absent: Callable[[Clause], Q] | None = None
    """The condition of `null`, for fields that may have no value."""
    is_named: Callable[[str], bool] = lambda name: False
    """For a field with several names."""


Fields = Mapping[str, SearchField]


class Operator(Func):
    """An operator of PostgreSQL between expressions."""

    template = "(%(expressions)s)"


class IsNotTrue(Func):
    """True where the condition is false or unknown, so that rows without a value match a `-`."""

    template = "((%(expressions)s) IS NOT TRUE)"
    output_field = BooleanField()


def condition_of(fields: Fields, scope: Scope, clause: Clause) -> Condition:
    """The condition of one clause; refuses unknown fields and operators with InvalidParameter."""
    field = _field_of(fields, clause)
    if clause.operator not in field.operators:
        refuse_query(
            f"{clause.field} takes the operators {' '.join(field.operators)} and not "
            f"{clause.operator}."
        )
    if clause.value is not None:
        condition = field.matches(scope, clause)
    elif clause.operator != ":":
        refuse_query(f"write null after a colon, as in -{clause.field}:null.")
    elif field.absent is None:
        refuse_query(f"{clause.field} always has a value: it cannot be null.")
    else:
        condition = Condition(field.absent(clause))
    return Condition(Q(IsNotTrue(condition.q))) if clause.negated else condition


def _field_of(fields: Fields, clause: Clause) -> SearchField:
    name = clause.field
    if name in fields:
        return fields[name]
    found = next((each for each in fields.values() if each.is_named(name)), None)
    if found is None:
        refuse_query(f"there is no field {name} to search by. There are: {', '.join(fields)}.")
    return found


# --- values -----------------------------------------------------------------------------------


def text_of(clause: Clause) -> str:
    assert clause.value is not None, "null was handled before"
    return clause.value


def number_of(clause: Clause) -> int:
    if not _WHOLE_NUMBER.fullmatch(text_of(clause)):
        refuse_query(f"{clause.field} takes a whole number, as in {clause.field}>=1000.")
    return int(text_of(clause))


def choice_of(clause: Clause, choices: Mapping[str, Any]) -> Any:
    value = text_of(clause).lower()
    if value not in choices:
        refuse_query(f"{clause.field} is one of {', '.join(choices)}.")
    return choices[value]


# --- conditions of several objects ------------------------------------------------------------


def created(scope: Scope, clause: Clause) -> Condition:
    first, end = created_bounds(dict.fromkeys(NUMERIC[clause.operator], number_of(clause)))
    q = Q()
    if first is not None:
        q &= Q(pk__gte=first)
    if end is not None:
        q &= Q(pk__lt=end)
    return Condition(q)


def currency(scope: Scope, clause: Clause) -> Condition:
    return Condition(Q(currency=text_of(clause).upper()))


def customer_field(path: str) -> SearchField:
    def matches(scope: Scope, clause: Clause) -> Condition:
        identifier = public_ids.decode(public_ids.CUSTOMER, text_of(clause)) or _NO_ID
        return Condition(Q(**{path: identifier}), lead=Q())

    return SearchField(
        operators=EXACT, matches=matches, absent=lambda clause: Q(**{f"{path}__isnull": True})
    )


def metadata_field(prefix: str = "") -> SearchField:
    """Keys and values are compared without case. The index holds each pair with its merchant."""
    column = f"{prefix}metadata"

    def matches(scope: Scope, clause: Clause) -> Condition:
        pair = Func(
            Value(json.dumps({clause.key: text_of(clause)}, ensure_ascii=False)),
            template="%(expressions)s::jsonb",
            output_field=JSONField(),
        )
        terms = _terms(F(f"{prefix}merchant_id"), F(f"{prefix}livemode"), F(column))
        wanted = _terms(Value(scope.merchant_id), Value(scope.livemode), pair)
        return Condition(
            Q(_contains(_without_case(F(column)), _without_case(pair))),
            lead=Q(_contains(terms, wanted)),
        )

    def absent(clause: Clause) -> Q:
        key = Lower(Value(clause.key))
        has = Operator(_without_case(F(column)), key, arg_joiner=" ? ", output_field=BooleanField())
        return Q(IsNotTrue(has))

    return SearchField(operators=EXACT, matches=matches, absent=absent)


def _terms(*of: Any) -> Func:
    return Func(*of, function="payments_metadata_terms", output_field=JSONField())


def _without_case(of: Any) -> Func:
    return Func(of, template="lower((%(expressions)s)::text)::jsonb", output_field=JSONField())


def _contains(holder: Func, held: Func) -> Func:
    return Operator(holder, held, arg_joiner=" @> ", output_field=BooleanField())
