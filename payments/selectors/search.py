"""Searches payment intents, charges and customers, newest first, within a time limit.

Rows are read newest first while matches are frequent. If the newest rows hold too few matches, an
index leads to the rest. The planner cannot decide that: it has no figures of metadata.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

import psycopg
from django.db import OperationalError, connection, transaction
from django.db.models import F, Model, Q, QuerySet

from payments import public_ids
from payments.exceptions import InvalidParameter, ResourceMissing
from payments.models import Customer, Operation, PaymentIntent
from payments.selectors.customers import customers
from payments.selectors.paging import DEFAULT_LIMIT
from payments.selectors.payments import charges, intents
from payments.selectors.scope import Scope
from payments.selectors.search_conditions import Condition, Fields, condition_of
from payments.selectors.search_fields import CHARGE_FIELDS, CUSTOMER_FIELDS, INTENT_FIELDS
from payments.selectors.search_query import PARAM, parse_query

M = TypeVar("M", bound=Model)
Row = TypeVar("Row")

SEARCH_SECONDS: Final = 5.0
"""All statements of one search together."""
MAX_TOTAL_COUNT: Final = 10_000
_NEWEST_PER_MATCH: Final = 200
"""So many of the newest rows are read for each row asked for, before an index leads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPaging:
    """Which page of the matches, and whether all of them are to be counted."""

    limit: int = DEFAULT_LIMIT
    page: str = ""
    """The `next_page` of the page before."""
    with_total: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPage(Generic[Row]):
    """Matches, newest first."""

    rows: list[Row]
    next_page: str | None
    """None on the last page."""
    total_count: int | None
    """At most MAX_TOTAL_COUNT; None if it was not asked for."""


def search_intents(scope: Scope, query: str, paging: SearchPaging) -> SearchPage[PaymentIntent]:
    """A page of matching payment intents; refuses with InvalidParameter, as all of these do."""
    return _Search(intents(scope), scope, paging).page(query, INTENT_FIELDS)


def search_charges(scope: Scope, query: str, paging: SearchPaging) -> SearchPage[Operation]:
    return _Search(charges(scope), scope, paging).page(query, CHARGE_FIELDS)


def search_customers(scope: Scope, query: str, paging: SearchPaging) -> SearchPage[Customer]:
    """A page of matching customers, without those that were deleted."""
    return _Search(customers(scope), scope, paging).page(query, CUSTOMER_FIELDS)


Search = Callable[[Scope, str, SearchPaging], SearchPage[Row]]


class _Search(Generic[M]):
    """One search among `rows`, which are one merchant's in one mode."""

    def __init__(self, rows: QuerySet[M], scope: Scope, paging: SearchPaging) -> None:
        self.all_rows = rows
        self.scope = scope
        self.paging = paging
        self.ends_at = time.monotonic() + SEARCH_SECONDS
        self.rows = rows.filter(pk__lt=_last_id(paging.page)) if paging.page else rows

    def page(self, text: str, fields: Fields) -> SearchPage[M]:
        """The page of a query. A search that takes too long is refused with InvalidParameter."""
        query = parse_query(text)
        conditions = [condition_of(fields, self.scope, clause) for clause in query.clauses]
        # For OR each clause is searched by itself, so that each is led by an index of its own.
        groups = [[each] for each in conditions] if query.any_of else [conditions]
        try:
            with transaction.atomic():
                found = {row.pk: row for group in groups for row in self._newest(group)}
                total = self._total(groups) if self.paging.with_total else None
        except OperationalError as error:
            if isinstance(error.__cause__, psycopg.errors.QueryCanceled):
                raise _took_too_long() from error
            raise
        rows = [found[pk] for pk in sorted(found, reverse=True)]
        shown = rows[: self.paging.limit]
        more = len(rows) > len(shown)
        return SearchPage(
            rows=shown,
            next_page=public_ids.encode(public_ids.SEARCH_PAGE, shown[-1].pk) if more else None,
            total_count=total,
        )

    def _newest(self, group: list[Condition]) -> list[M]:
        """The newest rows that match all conditions; one more than the page has, if there is."""
        wanted = self.paging.limit + 1
        matching = self.rows.filter(_all_of(group))
        leads = [each.lead for each in group if each.lead is not None]
        if not leads:
            return self._run(matching.order_by("-pk")[:wanted])
        window = _NEWEST_PER_MATCH * self.paging.limit
        ids = self.rows.select_related(None).order_by("-pk").values_list("pk", flat=True)
        oldest = self._run(ids[window : window + 1])
        recent = matching.filter(pk__gte=oldest[0]) if oldest else matching
        found = self._run(recent.order_by("-pk")[:wanted])
        if len(found) == wanted or not oldest:
            return found
        return self._run(_sorted_afterward(matching, leads)[:wanted])

    def _total(self, groups: list[list[Condition]]) -> int:
        matching = self.all_rows.filter(_any_of(map(_all_of, groups))).select_related(None)
        return len(self._run(matching.values_list("pk", flat=True)[:MAX_TOTAL_COUNT]))

    def _run(self, rows: QuerySet[Any, Any]) -> list[Any]:
        left_ms = int((self.ends_at - time.monotonic()) * 1000)
        if left_ms <= 0:
            raise _took_too_long()
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [f"{left_ms}ms"])
        return list(rows)


def _sorted_afterward(rows: QuerySet[M], leads: Iterable[Q]) -> QuerySet[M]:
    """Newest first in an order that no index has, so that none is read for the sake of its order.

    With the order of an index the planner would read all rows, in the hope of early matches.
    """
    return rows.filter(_all_of([Condition(lead) for lead in leads])).order_by(
        F("pk").desc(nulls_last=True)
    )


def _all_of(group: Iterable[Condition]) -> Q:
    combined = Q()
    for each in group:
        combined &= each.q
    return combined


def _any_of(alternatives: Iterable[Q]) -> Q:
    combined = Q()
    for each in alternatives:
        combined |= each
    return combined


def _last_id(page: str) -> UUID:
    """The id of the last row of the page before; refuses with ResourceMissing."""
    identifier = public_ids.decode(public_ids.SEARCH_PAGE, page)
    if identifier is None:
        raise ResourceMissing(
            "No such page: give the next_page of the last answer, or none for the first page.",
            param="page",
        )
    return identifier


def _took_too_long() -> InvalidParameter:
    return InvalidParameter(
        f"This search took longer than {SEARCH_SECONDS:g} seconds. Narrow it: add a clause of "
        "created, customer, metadata, amount or last4, or write a whole value in place of ~.",
        code="query_timeout",
        param=PARAM,
    )
