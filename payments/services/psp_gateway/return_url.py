"""Where a PSP sends the customer back to us after a challenge.

What may not live here: the page itself.
"""

from __future__ import annotations

import hmac
from hashlib import sha256

from django.conf import settings

from payments.models import PaymentIntent


def return_link(intent: PaymentIntent) -> str:
    """Our return page of an intent, with a token that only who was sent there knows."""
    token = _token(intent)
    return f"{settings.PUBLIC_BASE_URL}/return/{intent.public_id}?token={token}"


def is_return_token(intent: PaymentIntent, token: str) -> bool:
    """Does the token belong to the intent? Compared in constant time."""
    return hmac.compare_digest(_token(intent).encode(), token.encode())


def _token(intent: PaymentIntent) -> str:
    """Derived, so that the client secret itself never travels in a URL of the PSP."""
    return sha256(f"return:{intent.client_secret}".encode()).hexdigest()[:40]
