"""Pages of lists, newest first, by id: UUIDv7 ids sort by creation, so no page shifts or repeats.

What may not live here: filters of one kind of object.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

from django.db.models import Model, QuerySet

from ledger.database.row_ids import complete_before
from payments import public_ids
from payments.selectors.scope import Kind, refuse_missing, require_one

M = TypeVar("M", bound=Model)
T = TypeVar("T")

DEFAULT_LIMIT: Final = 10
_LAST_SECOND: Final = (1 << 48) // 1000 - 1
"""UUIDv7 holds 48 bits of milliseconds."""
_LAST_ID: Final = UUID(int=(1 << 128) - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging:
    """Which page: how many, after or before which public id, created when."""

    limit: int = DEFAULT_LIMIT
    starting_after: str = ""
    ending_before: str = ""
    created: Mapping[str, int] = field(default_factory=dict)
    """Unix seconds under `gt`, `gte`, `lt`, `lte`."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page, newest first; `has_more` in the direction that was asked for."""

    rows: list[T]
    has_more: bool


@dataclass(frozen=True, slots=True)
class IdRange:
    """Bounds of ids: at least `first`, below `end`, after (older than) or before a cursor."""

    first: UUID | None
    end: UUID | None
    older_than: UUID | None
    newer_than: UUID | None


def id_range(paging: Paging, *, known: QuerySet[Any], kind: Kind) -> IdRange:
    """The bounds that a page's cursors and creation times mean.

    A cursor that is not among `known` is refused with ResourceMissing. A reader who goes on to
    newer rows gets none before every older one is there: it may take the newest as its next cursor.
    """
    older_than = newer_than = None
    if paging.starting_after:
        older_than = require_one(known, kind, paging.starting_after, param="starting_after")
    if paging.ending_before:
        newer_than = require_one(known, kind, paging.ending_before, param="ending_before")
    first, end = created_bounds(paging.created)
    if newer_than is not None:
        # A row that is still being written may have a smaller id than one that is here already.
        end = min(end or _LAST_ID, complete_before())
    return IdRange(first, end, older_than, newer_than)


def created_bounds(created: Mapping[str, int]) -> tuple[UUID | None, UUID | None]:
    """The first id within a range of creation seconds, and the first one after it."""
    lowest = [second for name, second in created.items() if name == "gte"]
    lowest += [second + 1 for name, second in created.items() if name == "gt"]
    above = [second for name, second in created.items() if name == "lt"]
    above += [second + 1 for name, second in created.items() if name == "lte"]
    first = _first_id(max(lowest)) if lowest else None
    end = _first_id(min(above)) if above else None
    return first, end


def page_of(rows: QuerySet[M], paging: Paging, *, known: QuerySet[M], kind: Kind) -> Page[M]:
    """A page of `rows` with one more read than asked for, to know whether there is more.

    `known` are all the rows a cursor may name, filters or not.
    """
    bounds = id_range(paging, known=known, kind=kind)
    if bounds.first is not None:
        rows = rows.filter(pk__gte=bounds.first)
    if bounds.end is not None:
        rows = rows.filter(pk__lt=bounds.end)
    if bounds.older_than is not None:
        rows = rows.filter(pk__lt=bounds.older_than)
    if bounds.newer_than is not None:
        found = list(rows.filter(pk__gt=bounds.newer_than).order_by("pk")[: paging.limit + 1])
        return Page(found[: paging.limit][::-1], len(found) > paging.limit)
    found = list(rows.order_by("-pk")[: paging.limit + 1])
    return Page(found[: paging.limit], len(found) > paging.limit)


def empty_page(paging: Paging, *, kind: Kind) -> Page[Any]:
    """The page of a list that never has rows; any cursor is refused with ResourceMissing."""
    for param in ("starting_after", "ending_before"):
        if cursor := getattr(paging, param):
            refuse_missing(kind, cursor, param=param)
    return Page([], has_more=False)


def _first_id(second: int) -> UUID:
    return public_ids.first_id_of_second(min(max(second, 0), _LAST_SECOND))
