"""Filters of the lists. Their choices come from code, never from a DISTINCT over a large table."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import DropdownFilter, RangeDateFilter, RelatedDropdownFilter

from ledger.admin import one_of as known_values
from ledger.money import CURRENCY_EXPONENTS
from payments import public_ids
from payments.admin.display import in_words


def one_of(
    field: str,
    choices: Iterable[str],
    *,
    title: str = "",
    label: Callable[[str], str] = in_words,
) -> type[DropdownFilter]:
    """A dropdown filter class for a text column with known values."""
    return known_values(field, choices, title=title or in_words(field), label=label)


CurrencyFilter = one_of("currency", sorted(CURRENCY_EXPONENTS), label=str.upper)


class CreatedFilter(RangeDateFilter):
    """From a day to a day (UTC, both included), by the time that the primary key carries."""

    bounds_ids = True

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        first = _day(self.used_parameters.get(f"{self.parameter_name}_from"))
        last = _day(self.used_parameters.get(f"{self.parameter_name}_to"))
        if first is not None:
            queryset = queryset.filter(pk__gte=_first_id_of(first))
        if last is not None and last < date.max:
            queryset = queryset.filter(pk__lt=_first_id_of(last + timedelta(days=1)))
        return queryset


OF_MERCHANT = (("merchant", RelatedDropdownFilter), ("created_at", CreatedFilter), "livemode")
"""The filters of every table whose rows are a merchant's."""


def _day(text: object) -> date | None:
    try:
        return date.fromisoformat(str(text))
    except ValueError:
        return None


def _first_id_of(day: date) -> Any:
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return public_ids.first_id_of_second(max(0, int(midnight.timestamp())))
