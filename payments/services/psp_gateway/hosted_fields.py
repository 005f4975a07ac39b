"""Describes the card fields that a PSP serves for our checkout page."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.db import connection

from payments.services.psp_gateway import accounts
from payments.services.psp_gateway.circuit_breaker import CallKind, CallRefused, guarded_call
from psp_adapters.contract.operations import PspUnavailable
from psp_adapters.contract.payments import HostedFields

_DEADLINE_SECONDS: Final = 4.0
"""A customer waits for the page meanwhile; without the fields it offers the other methods."""


def page_origin() -> str:
    """The origin of our own pages, as browsers name it."""
    parts = urlsplit(settings.PUBLIC_BASE_URL)
    return f"{parts.scheme}://{parts.netloc}"


def hosted_fields_of(account_id: UUID) -> HostedFields | None:
    """The card fields of an account for our pages; None if its PSP has none.

    May ask the PSP: called outside transactions, and gives the database connection back first.
    Raises PspUnavailable.
    """
    if not accounts.capabilities_of(account_id).hosted_fields:
        return None
    account = accounts.identity_of(account_id)
    adapter = accounts.adapter_of(account)
    connection.close()
    try:
        with guarded_call(account.code, CallKind.QUERY) as verdict:
            fields = adapter.hosted_fields(
                page_origin=page_origin(), deadline_seconds=_DEADLINE_SECONDS
            )
            verdict.healthy = True
    except CallRefused as refusal:
        raise PspUnavailable(refusal.reason) from refusal
    return fields
