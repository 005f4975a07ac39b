"""Reads the rows that match all conditions of a search: newest first, or led by an index.

Most searches match often, so the newest rows are read first. If they hold too few matches, an index
gives the ids of all rows that can match. The planner cannot decide that: it has no figures of
metadata, nor of one merchant's currencies. Where no index leads to few rows, older rows are read in
slices for a limited time: those that an index leads to in order, else all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import reduce
from operator import and_
from typing import Any, Final, cast
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db import connection
from django.db.models import BooleanField, F, Func, Q, QuerySet, UUIDField, Value

from payments.selectors.search_conditions import Condition, Lead, Leads

NEWEST_PER_MATCH: Final = 200
"""So many of the newest rows are read for each row asked for, before an index leads."""
NEWEST_MAX: Final = 20_000
LED_ROWS_MAX: Final = 20_000
"""An index that leads to more rows is read in slices of so many."""
SLICE_ROWS_MAX: Final = 100_000
READ_SECONDS: Final = 2.0
"""After that no further slice is read."""
_SETTINGS: Final = """
    SELECT set_config('statement_timeout', %s, true), set_config('enable_seqscan', 'off', true)"""
"""An index leads to one merchant's rows; the planner would rather read those of all."""


class OutOfTime(Exception):
    """All statements of the search together took too long."""


@dataclass(frozen=True, slots=True)
class Found:
    """The ids of matches, newest first, and where reading stopped."""

    ids: list[UUID]
    unread_below: UUID | None
    """Rows with smaller ids were not read; None: there are none that matter."""


class Reader:
    """Finds among one merchant's rows for one search, within its time."""

    def __init__(self, rows: QuerySet[Any], *, seconds: float) -> None:
        self.ids = rows.select_related(None).order_by("-pk").values_list("pk", flat=True)
        self.ends_at = time.monotonic() + seconds
        self.reads_until = time.monotonic() + READ_SECONDS

    def newest(self, group: list[Condition], *, limit: int, below: UUID | None = None) -> Found:
        """The newest `limit` rows that match all conditions and have smaller ids than `below`."""
        ids = self.ids.filter(all_of(each for each in group if each.is_range_of_ids))
        if below is not None:
            ids = ids.filter(pk__lt=below)
        size = min(NEWEST_PER_MATCH * limit, NEWEST_MAX)
        found, edge = self._slice(ids, group, size, limit)
        if edge is None or len(found) == limit:
            return Found(found, None)
        led = self._led(group)
        if led is not None:
            return Found(self.run(ids.filter(all_of(group), led)[:limit]), None)
        in_order = _leads_in_order(group)
        while edge is not None and len(found) < limit and time.monotonic() < self.reads_until:
            older, left = ids.filter(pk__lt=edge), limit - len(found)
            if in_order:
                size = min(4 * size, LED_ROWS_MAX)
                reached, edge = self._reached(in_order, group, size, below=edge)
                more = self.run(older.filter(all_of(group), _is_one_of("pk", reached))[:left])
            else:
                size = min(4 * size, SLICE_ROWS_MAX)
                more, edge = self._slice(older, group, size, left)
            found += more
        return Found(found, edge if len(found) < limit else None)

    def _slice(
        self, ids: QuerySet[Any, UUID], group: list[Condition], size: int, limit: int
    ) -> tuple[list[UUID], UUID | None]:
        """Matches among the newest `size` rows, and the last of these; None if there are fewer."""
        edge = next(iter(self.run(ids[size - 1 : size])), None)
        matching = ids.filter(all_of(group))
        if edge is not None:
            matching = matching.filter(pk__gte=edge)
        return self.run(matching[:limit]), edge

    def _reached(
        self, in_order: tuple[Lead, ...], group: list[Condition], size: int, *, below: UUID
    ) -> tuple[list[UUID], UUID | None]:
        """The newest ids that the leads have, and the last of these; None: there are no others."""
        reached: set[UUID] = set()
        edge = None
        for lead in in_order:
            bounds = [each.q for each in group if each.is_range_of_ids]
            in_range = _of_column(lead.id_column, [*bounds, Q(pk__lt=below)])
            ids = self.run(lead.newest_ids(in_range)[:size])
            reached.update(ids)
            if len(ids) == size:
                edge = ids[-1] if edge is None else max(edge, ids[-1])
        return [each for each in reached if edge is None or each >= edge], edge

    def _led(self, group: list[Condition]) -> Q | None:
        """The rows that one of the conditions leads to; None if each leads to too many."""
        leading = _with_shared(group, lambda leads: leads.few)
        # Reading an index in its order stops early; the others collect all their rows first.
        for leads in sorted(leading, key=lambda leads: not all(lead.is_ordered for lead in leads)):
            rows, left = Q(), LED_ROWS_MAX
            for lead in leads:
                ids = self.run(lead.ids[: left + 1])
                left -= len(ids)
                rows |= Q(_is_one_of(lead.column, ids))
            if left >= 0:
                return rows
        return None

    def run(self, rows: QuerySet[Any, Any]) -> list[Any]:
        """The rows of one statement; refuses with OutOfTime."""
        left_ms = int((self.ends_at - time.monotonic()) * 1000)
        if left_ms <= 0:
            raise OutOfTime
        with connection.cursor() as cursor:
            cursor.execute(_SETTINGS, [f"{left_ms}ms"])
        return list(rows)


def _leads_in_order(group: list[Condition]) -> tuple[Lead, ...]:
    """Of one of the conditions, or of all that share an index; none if no condition has such."""
    return next(reversed(_with_shared(group, lambda leads: leads.in_order)), ())


def _with_shared(
    group: list[Condition], of: Callable[[Leads], tuple[Lead, ...]]
) -> list[tuple[Lead, ...]]:
    """Leads of each condition; last those of conditions that share an index, as one."""
    leading = [of(each.leads) for each in group if not each.shares_index]
    sharing = [of(each.leads) for each in group if each.shares_index and of(each.leads)]
    if sharing:
        leading.append(tuple(map(_in_all, zip(*sharing, strict=True))))
    return [leads for leads in leading if leads]


def _of_column(column: str, conditions: list[Q]) -> Q:
    """The same ranges of ids, of another column than `pk`."""
    ranges = cast("list[tuple[str, UUID]]", [each for q in conditions for each in q.children])
    return Q(*((name.replace("pk", column), bound) for name, bound in ranges))


def _in_all(leads: tuple[Lead, ...]) -> Lead:
    first, *others = leads
    return replace(first, rows=reduce(and_, (lead.rows for lead in others), first.rows))


def all_of(group: Iterable[Condition]) -> Q:
    combined = Q()
    for each in group:
        combined &= each.q
    return combined


def _is_one_of(column: str, ids: list[UUID]) -> Func:
    """One parameter, however many ids there are."""
    given = Value(ids, output_field=ArrayField(UUIDField()))
    return Func(
        F(column),
        given,
        template="(%(expressions)s))",
        arg_joiner=" = ANY (",
        output_field=BooleanField(),
    )
