"""Search by public id, and by the few texts that an index finds.

What may not live here: `LIKE '%…%'` over a large table; which texts a noun has (its module says).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Final
from uuid import UUID

from django.db.models import Q, QuerySet
from django.http import HttpRequest

from payments import public_ids
from payments.models import IdempotencyKey, Operation

FOUND_MAX: Final = 1_000
"""A text that finds more is no search; the first are shown."""


class SearchByPublicId:
    """Reads what was typed as a public id, else as one text after another until one finds rows."""

    id_paths: ClassVar[dict[str, str]]
    """Prefix of a public id to the field that holds its UUID."""
    # Makes the admin show the search box; the search itself is below.
    search_fields = ("pk",)

    def texts(self, term: str) -> Iterable[Q]:
        """What to look for when it is no id: what an index finds first, a scan last if at all."""
        return ()

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        for prefix, path in self.id_paths.items():
            identifier = public_ids.decode(prefix, term)
            if identifier is not None:
                return queryset.filter(**{path: identifier}), False
        raw = _read_uuid(term)
        if raw is not None:
            return queryset.filter(pk=raw), False
        for text in self.texts(term):
            # One after another: an OR over several tables would give up every index.
            found = list(queryset.filter(text).values_list("pk", flat=True)[:FOUND_MAX])
            if found:
                return queryset.filter(pk__in=found), False
        return queryset.none(), False


def intents_of_key(idempotency_key: str) -> QuerySet[IdempotencyKey, UUID | None]:
    """The ids of the intents that requests with this Idempotency-Key were about."""
    keys = IdempotencyKey.objects.filter(key=idempotency_key, intent_id__isnull=False)
    return keys.values_list("intent_id", flat=True)


def intents_of_psp_id(psp_id: str) -> QuerySet[Operation, UUID]:
    """The ids of the intents that an operation with this id at the PSP belongs to."""
    # `<> ''` lets PostgreSQL use the partial index.
    operations = Operation.objects.filter(psp_id=psp_id).exclude(psp_id="")
    return operations.values_list("intent_id", flat=True)


def _read_uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
