"""Lists of the merchant API: from parameters to a page, and from a page to an answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from payments.api.expansion import expand
from payments.objects.parts import list_object
from payments.selectors.paging import DEFAULT_LIMIT, Page, Paging
from payments.selectors.scope import Scope

T = TypeVar("T")

_DATA: Final = "data."


def paging_of(given: dict[str, Any]) -> Paging:
    """The page that a list's validated parameters ask for."""
    return Paging(
        limit=given.get("limit", DEFAULT_LIMIT),
        starting_after=given.get("starting_after", ""),
        ending_before=given.get("ending_before", ""),
        created=given.get("created", {}),
    )


def list_answer(
    page: Page[T],
    render: Callable[[T], dict[str, Any]],
    *,
    url: str,
    kind: str,
    paths: tuple[str, ...],
    scope: Scope,
) -> dict[str, Any]:
    """The list object of a page, its rows expanded along `paths`."""
    rows = [render(row) for row in page.rows]
    expand(rows, kind, [path.removeprefix(_DATA) for path in paths], scope)
    return list_object(url, rows, has_more=page.has_more)
