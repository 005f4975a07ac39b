"""Conditions of a search, and those that several kinds of objects share.

A condition says what matches (`q`), and which indexes lead to all matches (`leads`, `in_order`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Final
from uuid import UUID

from django.db.models import BooleanField, F, Func, JSONField, Q, QuerySet, UUIDField, Value
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
_OPPOSITE: Final = {">": "<=", ">=": "<", "<": ">=", "<=": ">"}
"""Of numbers, which every row has."""
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
class Lead:
    """Rows that an index leads to, whatever else is asked for."""

    rows: QuerySet[Any]
    """One merchant's; in an order of that index where it has one, so that it is the one read."""
    column: str = "pk"
    """The column of the searched rows that has these ids."""
    id_column: str = "pk"
    """The column of `rows` that has them."""

    @property
    def ids(self) -> QuerySet[Any, Any]:
        return self.rows.values_list(self.id_column, flat=True)

    def newest_ids(self, within: Q) -> QuerySet[Any, Any]:
        """Its ids within a range, newest first; it is read whole, and sorted.

        Were the order one of an index by id, the planner would read all of a merchant's rows until
        enough match, and expect that to be soon.
        """
        order = Func(F(self.id_column), function="GREATEST", output_field=UUIDField())
        return self.ids.filter(within).order_by(order.desc())

    @property
    def is_ordered(self) -> bool:
        return bool(self.rows.query.order_by)


@dataclass(frozen=True, slots=True)
class Leads:
    """Leads that together reach every match; none: rows are read newest first."""

    few: tuple[Lead, ...] = ()
    """Used where they lead to few rows."""
    in_order: tuple[Lead, ...] = ()
    """Read newest first where `few` lead to many. Their ids are those of the searched rows."""


def in_either_way(*leads: Lead) -> Leads:
    """Leads that are used for few rows and for many."""
    return Leads(few=leads, in_order=leads)


@dataclass(frozen=True, slots=True)
class Condition:
    """What matches, and what leads there."""

    q: Q
    leads: Leads = Leads()
    is_range_of_ids: bool = False
    """True for `created`: the rows to be read are bounded by it."""
    shares_index: bool = False
    """True for amounts and currencies: what several such clauses lead to is in all their leads."""


Choices = Mapping[str, Condition]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchField:
    """One field of an object: its operators, and its conditions."""

    operators: tuple[str, ...]
    matches: Callable[[Scope, Clause], Condition]
    absent: Callable[[Scope, Clause], Condition] | None = None
    """The condition of `null`, for fields that may have no value."""
    otherwise: Callable[[Scope, Clause], Leads] = lambda scope, clause: Leads()
    """What leads to the rows that a negated clause matches."""
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
    if clause.negated and clause.operator in _OPPOSITE:
        clause = replace(clause, operator=_OPPOSITE[clause.operator], negated=False)
    if clause.value is not None:
        condition = field.matches(scope, clause)
    elif clause.operator != ":":
        refuse_query(f"write null after a colon, as in -{clause.field}:null.")
    elif field.absent is None:
        refuse_query(f"{clause.field} always has a value: it cannot be null.")
    else:
        condition = field.absent(scope, clause)
    if clause.negated:
        leads, q = field.otherwise(scope, clause), Q(IsNotTrue(condition.q))
        return replace(condition, q=q, leads=leads, is_range_of_ids=False)
    return condition


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


def choice_field(choices: Callable[[Scope], Choices]) -> SearchField:
    """A field that has one of a few values."""

    def value_of(clause: Clause, known: Choices) -> str:
        value = text_of(clause).lower()
        if value not in known:
            refuse_query(f"{clause.field} is one of {', '.join(known)}.")
        return value

    def matches(scope: Scope, clause: Clause) -> Condition:
        known = choices(scope)
        return known[value_of(clause, known)]

    def otherwise(scope: Scope, clause: Clause) -> Leads:
        known = choices(scope)
        value = value_of(clause, known)
        others = [condition.leads for name, condition in known.items() if name != value]
        return Leads(
            few=_all_or_none([each.few for each in others]),
            in_order=_all_or_none([each.in_order for each in others]),
        )

    return SearchField(operators=EXACT, matches=matches, otherwise=otherwise)


def _all_or_none(leads: list[tuple[Lead, ...]]) -> tuple[Lead, ...]:
    """None if some value has none: its rows would be missed."""
    return tuple(chain.from_iterable(leads)) if all(leads) else ()


# --- conditions of several objects ------------------------------------------------------------


def created(scope: Scope, clause: Clause) -> Condition:
    first, end = created_bounds(dict.fromkeys(NUMERIC[clause.operator], number_of(clause)))
    q = Q()
    if first is not None:
        q &= Q(pk__gte=first)
    if end is not None:
        q &= Q(pk__lt=end)
    return Condition(q, is_range_of_ids=True)


def customer_field(path: str, rows: Callable[[Scope], QuerySet[Any]], lead: str) -> SearchField:
    """The customer of an intent, of those that `rows` gives; `lead` is the column of its ids."""

    def matches(scope: Scope, clause: Clause) -> Condition:
        identifier = public_ids.decode(public_ids.CUSTOMER, text_of(clause)) or _NO_ID
        return Condition(Q(**{path: identifier}), leads(scope, customer_id=identifier))

    def leads(scope: Scope, **of: Any) -> Leads:
        found = Lead(rows(scope).filter(**of).order_by("customer_id"), lead)
        return Leads(few=(found,)) if lead != "pk" else in_either_way(found)

    return SearchField(
        operators=EXACT,
        matches=matches,
        absent=lambda scope, clause: Condition(
            Q(**{f"{path}__isnull": True}), leads(scope, customer_id__isnull=True)
        ),
        otherwise=lambda scope, clause: (
            Leads()
            if clause.value is not None
            else Leads(few=leads(scope, customer_id__isnull=False).few)
        ),
    )


def metadata_field(
    rows: Callable[[Scope], QuerySet[Any]], *, path: str = "metadata", lead: str = "pk"
) -> SearchField:
    """Keys and values are compared without case. The index holds each pair with its merchant.

    `rows` have the metadata; `lead` is the column of their ids.
    """

    def matches(scope: Scope, clause: Clause) -> Condition:
        pair = Func(
            Value(json.dumps({clause.key: text_of(clause)}, ensure_ascii=False)),
            template="%(expressions)s::jsonb",
            output_field=JSONField(),
        )
        terms = _terms(F("merchant_id"), F("livemode"), F("metadata"))
        wanted = _terms(Value(scope.merchant_id), Value(scope.livemode), pair)
        return Condition(
            Q(contains(_without_case(F(path)), _without_case(pair))),
            Leads(few=(Lead(rows(scope).filter(contains(terms, wanted)), lead),)),
        )

    def absent(scope: Scope, clause: Clause) -> Condition:
        key = Lower(Value(clause.key))
        has = Operator(_without_case(F(path)), key, arg_joiner=" ? ", output_field=BooleanField())
        return Condition(Q(IsNotTrue(has)))

    return SearchField(operators=EXACT, matches=matches, absent=absent)


def _terms(*of: Any) -> Func:
    return Func(*of, function="payments_metadata_terms", output_field=JSONField())


def _without_case(of: Any) -> Func:
    return Func(of, template="lower((%(expressions)s)::text)::jsonb", output_field=JSONField())


def contains(holder: Func, held: Func) -> Func:
    return Operator(holder, held, arg_joiner=" @> ", output_field=BooleanField())
