"""One API call: the merchant, the endpoint, the validated parameters and headers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final, TypeVar
from uuid import UUID

import orjson

from payments.api.authentication import Identity
from payments.api.card_data import refuse_card_in_path
from payments.api.expansion import expand
from payments.api.parameters.expansion import TOTAL_COUNT
from payments.exceptions import ResourceMissing
from payments.objects.parts import list_object, search_result_object
from payments.selectors.paging import DEFAULT_LIMIT, Page, Paging
from payments.selectors.scope import Kind, Scope, id_of
from payments.selectors.search import Search, SearchPaging
from payments.services.callers.caller import Caller

NOTHING_EXPANDED: Final[tuple[str, ...]] = ()
_IN_LIST: Final = "data."
Row = TypeVar("Row")
Details = TypeVar("Details")


@dataclass(slots=True, kw_only=True)
class Call:
    """A request that was authenticated, read and validated."""

    identity: Identity
    method: str
    path: str
    request_id: str
    api_version: str
    idempotency_key: str = ""
    answer_by_monotonic: float | None = None
    given: dict[str, Any] = field(default_factory=dict)
    """The validated parameters, `expand` included."""

    @property
    def scope(self) -> Scope:
        return self.identity.scope

    @property
    def expand(self) -> tuple[str, ...]:
        return tuple(self.given.get("expand", NOTHING_EXPANDED))

    @property
    def caller(self) -> Caller:
        """The Caller for services; raises InvalidParameter without a PSP account in this mode."""
        identity = self.identity
        return Caller(
            merchant=identity.merchant,
            livemode=identity.livemode,
            psp_account=identity.psp_account,
            actor=identity.actor,
            request_id=self.request_id,
            api_version=self.api_version,
            idempotency_key=self.idempotency_key,
            fingerprint=self._fingerprint() if self.idempotency_key else "",
            expand=self.expand,
            answer_by_monotonic=self.answer_by_monotonic,
        )

    @property
    def paging(self) -> Paging:
        """The page that a list's parameters ask for."""
        given = self.given
        return Paging(
            limit=given.get("limit", DEFAULT_LIMIT),
            starting_after=given.get("starting_after", ""),
            ending_before=given.get("ending_before", ""),
            created=given.get("created", {}),
        )

    def expanded(self, kind: str, shown: dict[str, Any]) -> dict[str, Any]:
        """The object with the ids replaced that the request expands."""
        expand([shown], kind, self.expand, self.scope)
        return shown

    def list_of(
        self, kind: str, page: Page[Row], render: Callable[[Row], dict[str, Any]]
    ) -> dict[str, Any]:
        """The list object of a page, its rows expanded."""
        rows = [render(row) for row in page.rows]
        expand(rows, kind, self._paths_in_list(), self.scope)
        return list_object(self.path, rows, has_more=page.has_more)

    def page_of_lines(self, lines: dict[str, Any]) -> dict[str, Any]:
        """The page of a short list that is read whole; raises ResourceMissing for its cursors."""
        rows, paging = lines["data"], self.paging
        first, last = 0, len(rows)
        if paging.starting_after:
            first = _place_of(rows, paging.starting_after, param="starting_after") + 1
        if paging.ending_before:
            last = _place_of(rows, paging.ending_before, param="ending_before")
            first = max(0, last - paging.limit)
        page = rows[first:last][: paging.limit]
        more = first > 0 if paging.ending_before else first + len(page) < len(rows)
        return list_object(self.path, page, has_more=more)

    def search_result_of(
        self, kind: str, search: Search[Row], render: Callable[[Row], dict[str, Any]]
    ) -> dict[str, Any]:
        """The page of a search that the parameters ask for, its rows expanded."""
        given = self.given
        page = search(
            self.scope,
            given["query"],
            SearchPaging(
                limit=given.get("limit", DEFAULT_LIMIT),
                page=given.get("page", ""),
                with_total=TOTAL_COUNT in self.expand,
            ),
        )
        rows = [render(row) for row in page.rows]
        expand(rows, kind, self._paths_in_list(), self.scope)
        return search_result_object(
            self.path, rows, next_page=page.next_page, total_count=page.total_count
        )

    def _paths_in_list(self) -> list[str]:
        return [path.removeprefix(_IN_LIST) for path in self.expand if path.startswith(_IN_LIST)]

    def details(self, kind: type[Details]) -> Details:
        """Those fields of a dataclass that were given, as parameters of the same names."""
        return kind(**self.only(*kind.__annotations__))

    def only(self, *names: str) -> dict[str, Any]:
        """Those of these parameters that were given, as keyword arguments of a service."""
        given = self.given
        return {name: given[name] for name in names if name in given}

    def _fingerprint(self) -> str:
        """The idempotency fingerprint: equal for a form and a JSON body with the same content."""
        parameters = orjson.dumps(self.given, option=orjson.OPT_SORT_KEYS)
        return sha256(f"{self.method}\n{self.path}\n".encode() + parameters).hexdigest()


def _place_of(rows: list[dict[str, Any]], line_id: str, *, param: str) -> int:
    """Which line it is; raises ResourceMissing if there is none of this id."""
    found = [place for place, row in enumerate(rows) if row["id"] == line_id]
    if not found:
        raise ResourceMissing(f"No such line item: '{line_id}'", param=param)
    return found[0]


def path_id(kind: Kind, public_id: str) -> UUID:
    """The UUID of an id in the path; a malformed one is treated as missing."""
    refuse_card_in_path(public_id)
    return id_of(kind, public_id)
