"""Makes an operation's permanent reference at the PSP, and the return URL for the customer."""

from __future__ import annotations

import hmac
from hashlib import sha256
from uuid import UUID

from django.conf import settings

from payments import public_ids
from payments.models import PaymentIntent, SetupIntent

Returning = PaymentIntent | SetupIntent
"""What a customer comes back to after a challenge."""


def reference_of(operation_id: UUID) -> str:
    """Our permanent reference of an operation at the PSP."""
    return public_ids.encode(public_ids.OPERATION, operation_id)


def operation_id_of(reference: str) -> UUID | None:
    """The operation that one of our references names; None if it is none of ours."""
    return public_ids.decode(public_ids.OPERATION, reference)


def setup_attempt_id_of(reference: str) -> UUID | None:
    """The setup attempt that one of our references names; None if it is none of ours."""
    return public_ids.decode(public_ids.SETUP_ATTEMPT, reference)


def return_link(intent: Returning) -> str:
    """The URL of the intent's return page, with a token that only the PSP and the customer get."""
    token = _token(intent)
    return f"{settings.PUBLIC_BASE_URL}/return/{intent.public_id}?token={token}"


def is_return_token(intent: Returning, token: str) -> bool:
    """Does the token belong to the intent? Compared in constant time."""
    return hmac.compare_digest(_token(intent).encode(), token.encode())


def _token(intent: Returning) -> str:
    """Derived, so that the client secret itself never travels in a URL of the PSP."""
    return sha256(f"return:{intent.client_secret}".encode()).hexdigest()[:40]


def mandate_reference(mandate_id: UUID | None) -> str:
    """What the PSP is told of a mandate: its public id, empty if there is none."""
    return public_ids.encode(public_ids.MANDATE, mandate_id) if mandate_id is not None else ""
