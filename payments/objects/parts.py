"""Declares and renders pieces that several objects share: addresses, timestamps, lists."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from payments import public_ids
from payments.objects.fields import (
    Field,
    ObjectType,
    flag,
    list_of,
    named,
    record,
    ref,
    text,
)

# One payment shows the same few ids again and again, in its answer and its events.
public_id: Final = lru_cache(maxsize=8192)(public_ids.encode)


def reference(prefix: str, identifier: UUID | None) -> str | None:
    """The public id, or None without an id."""
    return public_id(prefix, identifier) if identifier is not None else None


def without_missing(shown: dict[str, Any], names: Collection[str]) -> dict[str, Any]:
    """Leave out those of these fields that have no value: their types allow absence, not null."""
    return {name: value for name, value in shown.items() if value is not None or name not in names}


def unix_seconds_of(identifier: UUID) -> int:
    """The second in which the row was made; its id carries it."""
    return public_ids.created_ms_of(identifier) // 1000


def unix_seconds(moment: datetime | None) -> int | None:
    return int(moment.timestamp()) if moment is not None else None


_ADDRESS: Final[dict[str, Field]] = {
    "city": text("City.", "Berlin", nullable=True),
    "country": text("ISO 3166 code of two letters.", "DE", nullable=True),
    "line1": text("Street and number.", "Lindenstr. 12", nullable=True),
    "line2": text("Second line.", sample="Back building", nullable=True),
    "postal_code": text("Postal code.", "10969", nullable=True),
    "state": text("State or province.", sample="Berlin", nullable=True),
}

EXAMPLE_ADDRESS: Final = {name: each.example for name, each in _ADDRESS.items() if each.example}


def address_field(meaning: str, *, nullable: bool = False) -> Field:
    """A postal address; every key of it is there."""
    return record(meaning, _ADDRESS, nullable=nullable)


def shipping_field() -> Field:
    """Where the goods go."""
    fields = {
        "address": address_field("The recipient's address."),
        "carrier": text("Who delivers.", "DHL", nullable=True),
        "name": text("The recipient.", "Ada Lovelace", nullable=True),
        "phone": text("The recipient's phone.", sample="+49 30 901820", nullable=True),
        "tracking_number": text(
            "The carrier's number of the parcel.", sample="00340434161094000000", nullable=True
        ),
    }
    return record(
        "Where the goods go; null if that was not said.", fields, nullable=True, shown=False
    )


def billing_details_field() -> Field:
    """Who owns a payment method."""
    fields = {
        "address": address_field("The owner's address."),
        "email": text("The owner's email address.", "ada@example.com", nullable=True),
        "name": text("The owner's name.", "Ada Lovelace", nullable=True),
        "phone": text("The owner's phone.", sample="+49 30 901820", nullable=True),
        "tax_id": text(
            "The owner's tax number; kept for you.", sample="DE129273398", nullable=True
        ),
    }
    return record("The owner, as the merchant gave it.", fields)


def address_object(given: dict[str, Any] | None) -> dict[str, Any]:
    """A postal address with every key the merchant may read."""
    given = given or {}
    return {
        "city": given.get("city") or None,
        "country": given.get("country") or None,
        "line1": given.get("line1") or None,
        "line2": given.get("line2") or None,
        "postal_code": given.get("postal_code") or None,
        "state": given.get("state") or None,
    }


def shipping_object(given: dict[str, Any] | None) -> dict[str, Any] | None:
    """The shipping details; None if there are none."""
    if not given:
        return None
    return {
        "address": address_object(given.get("address")),
        "carrier": given.get("carrier") or None,
        "name": given.get("name") or None,
        "phone": given.get("phone") or None,
        "tracking_number": given.get("tracking_number") or None,
    }


def billing_details_object(given: dict[str, Any] | None) -> dict[str, Any]:
    """The billing details, with every key."""
    given = given or {}
    return {
        "address": address_object(given.get("address")),
        "email": given.get("email") or None,
        "name": given.get("name") or None,
        "phone": given.get("phone") or None,
        "tax_id": given.get("tax_id") or None,
    }


def page_of(name: str, *, example: list[Any] | None = None) -> ObjectType:
    """The declaration of a page of a list whose rows are objects of this type."""
    fields = {
        "object": named("list"),
        "url": text("The list's address.", f"/v1/{name}s"),
        "has_more": flag("Whether rows follow: ask for them with `starting_after`."),
        "data": list_of("The rows, newest first.", ref(name), example or []),
    }
    return ObjectType("list", "One page of a list; SDKs fetch the next ones by themselves.", fields)


def list_object(url: str, data: Sequence[dict[str, Any]], *, has_more: bool) -> dict[str, Any]:
    """One page of a list; every row has an `id`, so that SDKs can fetch the next."""
    return {"object": "list", "url": url, "has_more": has_more, "data": list(data)}


def search_result_object(
    url: str, data: Sequence[dict[str, Any]], *, next_page: str | None, total_count: int | None
) -> dict[str, Any]:
    """One page of a search; `total_count` is absent if it was not asked for."""
    shown = {
        "object": "search_result",
        "url": url,
        "has_more": next_page is not None,
        "data": list(data),
        "next_page": next_page,
        "total_count": total_count,
    }
    return without_missing(shown, {"total_count"})
