"""Describes the card fields that a PSP serves for our checkout page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.db import connection

from payments.models import PspAccount
from payments.services.psp_gateway import accounts
from payments.services.psp_gateway.circuit_breaker import CallKind, CallRefused, guarded_call
from payments.states import PspAccountStatus
from psp_adapters.contract.operations import PspUnavailable
from psp_adapters.contract.payments import FieldsRefused, HostedFields
from psp_adapters.registry import BadCredentials

_EXCHANGE_SECONDS: Final = 8.0
_DEADLINE_SECONDS: Final = 4.0
"""A customer waits for the page meanwhile; without the fields it offers the other methods."""


def page_origin() -> str:
    """The origin of our own pages, as browsers name it."""
    parts = urlsplit(settings.PUBLIC_BASE_URL)
    return f"{parts.scheme}://{parts.netloc}"


def hosted_fields_of(account_id: UUID) -> HostedFields | None:
    """The card fields of an account for our pages; None if it has none.

    May ask the PSP: called outside transactions, and gives the database connection back first.
    Raises PspUnavailable.
    """
    if not accounts.has_card_fields(account_id):
        return None
    account = accounts.identity_of(account_id)
    adapter = accounts.adapter_of(account)
    if adapter.card_fields is not None:  # Without a call: it says nothing about the PSP's health.
        return adapter.card_fields
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


def token_of_fields(account_id: UUID, fields: Mapping[str, str]) -> str:
    """Have the PSP exchange what its fields encrypted for a token, which alone is kept.

    Called outside transactions, and gives the database connection back first. Raises FieldsRefused
    and PspUnavailable.
    """
    account = accounts.identity_of(account_id)
    try:
        adapter = accounts.adapter_of(account)
    except BadCredentials as reason:
        raise PspUnavailable(str(reason)) from reason
    connection.close()
    try:
        with guarded_call(account.code, CallKind.QUERY) as verdict:
            try:
                token = adapter.token_of_fields(fields, deadline_seconds=_EXCHANGE_SECONDS)
            except FieldsRefused:
                verdict.healthy = True
                raise
            verdict.healthy = True
    except CallRefused as refusal:
        raise PspUnavailable(refusal.reason) from refusal
    return token


def domain_association() -> str:
    """What wallets ask our host to serve: of the active account that has it; empty without one.

    A host serves one such file. Of several accounts a live one comes first, then the first code.
    """
    active = PspAccount.objects.filter(status=PspAccountStatus.ACTIVE)
    for account in active.order_by("-livemode", "code"):
        try:
            found = accounts.adapter_of(account).domain_association
        except BadCredentials:  # Charges at that account say so; this file may be another's.
            continue
        if found:
            return found
    return ""
