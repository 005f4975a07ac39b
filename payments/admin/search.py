"""Search by public id, and by the few texts that an index finds; never by `LIKE '%…%'`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Final
from uuid import UUID

from django.db.models import Q, QuerySet
from django.http import HttpRequest

from payments import public_ids
from payments.models import IdempotencyKey, Operation
from psp_adapters.contract.operations import OperationKind

FOUND_MAX: Final = 1_000
"""At most so many results of a text search are shown."""


class SearchByPublicId:
    """Searches by public id, else by one text column after another until one finds rows."""

    id_paths: ClassVar[dict[str, str]]
    """Prefix of a public id to the field that holds its UUID."""
    # Makes the admin show the search box; the search itself is below.
    search_fields = ("pk",)

    def texts(self, term: str) -> Iterable[Q]:
        """Conditions for a term that is not an id: indexed ones first, a scan last if at all."""
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
            # One after another: an OR over several tables could use no index.
            found = list(queryset.filter(text).values_list("pk", flat=True)[:FOUND_MAX])
            if found:
                return queryset.filter(pk__in=found), False
        return queryset.none(), False


def intents_of_key(idempotency_key: str) -> QuerySet[IdempotencyKey, UUID | None]:
    """The ids of the intents of requests with this Idempotency-Key."""
    keys = IdempotencyKey.objects.filter(key=idempotency_key, intent_id__isnull=False)
    return keys.values_list("intent_id", flat=True)


def intents_of_psp_id(psp_id: str) -> QuerySet[Operation, UUID]:
    """The ids of the intents with an operation that has this id at the PSP."""
    # `<> ''` lets PostgreSQL use the partial index.
    operations = Operation.objects.filter(psp_id=psp_id).exclude(psp_id="")
    return operations.values_list("intent_id", flat=True)


def intents_of_psp_payment(psp_payment_id: str) -> QuerySet[Operation, UUID]:
    """The ids of the intents with a charge that is this payment at the PSP."""
    charges = Operation.objects.filter(
        kind=OperationKind.AUTHORIZE.value, psp_payment_id=psp_payment_id
    )
    return charges.exclude(psp_payment_id="").values_list("intent_id", flat=True)


def _read_uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
