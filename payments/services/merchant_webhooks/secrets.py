"""Secrets of endpoints: random, stored encrypted (payments.sealing), and their signatures.

There are two sets of headers over the same bytes and secrets: Stripe's, which its SDKs verify, and
that of the Standard Webhooks specification.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import string
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from payments import public_ids
from payments.models import WebhookEndpoint
from payments.sealing import open_sealed

_ALPHABET: Final = string.ascii_letters + string.digits
_LENGTH: Final = 32
"""190 bits. Letters and digits only: every four of them are also base64 of three bytes, which is
how the Standard Webhooks libraries read a secret; the Stripe SDKs take its text as it is."""


def new_secret() -> str:
    """A new random secret."""
    return public_ids.WHSEC + "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))


def signing_secrets(endpoint: WebhookEndpoint, *, now: datetime) -> list[str]:
    """The secrets that sign at `now`: the current one, and the previous one during a rotation."""
    sealed = [endpoint.sealed_secret]
    until = endpoint.previous_secret_until
    if endpoint.sealed_previous_secret and until is not None and now < until:
        sealed.append(endpoint.sealed_previous_secret)
    return [open_sealed(each) for each in sealed]


def signature_headers(
    *, body: bytes, event_id: str, secrets: Sequence[str], at_unix_seconds: int
) -> dict[str, str]:
    """The headers Stripe-Signature and webhook-id, -timestamp, -signature.

    Each holds one signature per secret.
    """
    moment = str(at_unix_seconds)
    stripes = [_stripe(secret, moment, body) for secret in secrets]
    standards = [_standard(secret, event_id, moment, body) for secret in secrets]
    return {
        "Stripe-Signature": ",".join([f"t={moment}", *(f"v1={each}" for each in stripes)]),
        "webhook-id": event_id,
        "webhook-timestamp": moment,
        "webhook-signature": " ".join(f"v1,{each}" for each in standards),
    }


def _stripe(secret: str, moment: str, body: bytes) -> str:
    signed = moment.encode() + b"." + body
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def _standard(secret: str, event_id: str, moment: str, body: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(public_ids.WHSEC))
    signed = f"{event_id}.{moment}.".encode() + body
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
