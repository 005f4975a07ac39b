"""Exchanges what a PSP's fields encrypted on the page for a token, and hands that out sealed.

The page sends the sealed token back with the payment: so a visitor can name no other token of the
account, and none of another session.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from django.core.signing import BadSignature, Signer

from payments.models import CheckoutSession
from payments.services.checkout.attempts import NoEffect, require_attempt
from payments.services.psp_gateway import accounts
from payments.services.psp_gateway.hosted_fields import token_of_fields
from psp_adapters.contract.operations import PspUnavailable
from psp_adapters.contract.payments import FieldsRefused

_SEPARATOR: Final = "."


def exchange(
    session: CheckoutSession, account_id: UUID, fields: Mapping[str, str], *, attempt: int
) -> str:
    """The sealed token of what the fields of this account encrypted; raises NoEffect."""
    require_attempt(session, attempt)
    if not accounts.capabilities_of(account_id).exchanges_fields:
        raise NoEffect("method_not_offered")
    try:
        token = token_of_fields(account_id, fields)
    except FieldsRefused as refused:
        raise NoEffect("token_unknown") from refused
    except PspUnavailable as unreached:
        raise NoEffect("psp_not_reached") from unreached
    return _signer(session, account_id).sign_object(token)


def opened(session: CheckoutSession, account_id: UUID, token: str) -> str:
    """The PSP's token in what the page sends: as it is, or unsealed. Raises NoEffect."""
    if not token or not accounts.capabilities_of(account_id).exchanges_fields:
        return token
    try:
        return str(_signer(session, account_id).unsign_object(token))
    except BadSignature as forged:
        raise NoEffect("token_unknown") from forged


def _signer(session: CheckoutSession, account_id: UUID) -> Signer:
    """Another one for each session and account."""
    return Signer(salt=f"checkout fields {session.id} {account_id}", sep=_SEPARATOR)
