"""Searches payment intents, charges and customers, newest first, within a time limit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Generic, TypeVar
from uuid import UUID

import psycopg
from django.db import OperationalError, transaction
from django.db.models import Model, QuerySet

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
from payments.selectors.search_reading import OutOfTime, Reader

M = TypeVar("M", bound=Model)
Row = TypeVar("Row")

SEARCH_SECONDS: Final = 5.0
"""All statements of one search together."""
MAX_TOTAL_COUNT: Final = 10_000
_NARROWER: Final = (
    "Narrow it: add a clause of created, customer, metadata, amount or last4, or write a whole "
    "value in place of ~."
)


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
        self.rows = rows
        self.scope = scope
        self.paging = paging
        self.below = _last_id(paging.page) if paging.page else None
        self.reader = Reader(rows, seconds=SEARCH_SECONDS)

    def page(self, text: str, fields: Fields) -> SearchPage[M]:
        """The page of a query. A search that takes too long is refused with InvalidParameter."""
        query = parse_query(text)
        conditions = [condition_of(fields, self.scope, clause) for clause in query.clauses]
        # For OR each clause is searched by itself, so that each is led by an index of its own.
        groups = [[each] for each in conditions] if query.any_of else [conditions]
        try:
            with transaction.atomic():
                rows, last = self._shown(groups)
                total = self._total(groups) if self.paging.with_total else None
        except OutOfTime:
            raise _took_too_long() from None
        except OperationalError as error:
            if isinstance(error.__cause__, psycopg.errors.QueryCanceled):
                raise _took_too_long() from error
            raise
        return SearchPage(
            rows=rows,
            next_page=None if last is None else public_ids.encode(public_ids.SEARCH_PAGE, last),
            total_count=total,
        )

    def _shown(self, groups: list[list[Condition]]) -> tuple[list[M], UUID | None]:
        """The newest rows of all groups, and the id below which the next page begins."""
        limit = self.paging.limit
        parts = [self.reader.newest(each, below=self.below, limit=limit + 1) for each in groups]
        unread = [part.unread_below for part in parts if part.unread_below is not None]
        last = max(unread, default=None)
        ids = sorted({each for part in parts for each in part.ids}, reverse=True)
        if last is not None:
            ids = [each for each in ids if each >= last]
        if len(ids) > limit:
            ids = ids[:limit]
            last = ids[-1]
        elif last is not None and not ids:
            # A page without rows would end the paging of some of Stripe's SDKs.
            raise _none_among_newest(last)
        return self.reader.run(self.rows.filter(pk__in=ids).order_by("-pk")), last

    def _total(self, groups: list[list[Condition]]) -> int:
        found = [self.reader.newest(group, limit=MAX_TOTAL_COUNT) for group in groups]
        if any(part.unread_below is not None for part in found):
            raise OutOfTime
        return min(len({each for part in found for each in part.ids}), MAX_TOTAL_COUNT)


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
        f"This search takes too long. {_NARROWER} Counting takes longest: leave total_count out.",
        code="query_timeout",
        param=PARAM,
    )


def _none_among_newest(last: UUID) -> InvalidParameter:
    """Older rows were not read."""
    second = public_ids.created_ms_of(last) // 1000
    day = datetime.fromtimestamp(second, UTC).date()
    return InvalidParameter(
        f"Nothing newer than {day} matches, and older objects were not searched: no clause leads "
        f"to few of them. To go on with those, add created<={second}. {_NARROWER}",
        code="query_timeout",
        param=PARAM,
    )
