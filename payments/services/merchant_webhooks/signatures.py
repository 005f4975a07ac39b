"""Signs deliveries: the headers that prove their origin. Pure; computed afresh at every attempt.

Two sets over the same bytes and secrets: Stripe's, which its SDKs verify, and that of the Standard
Webhooks specification.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence

from payments.services.merchant_webhooks.secrets import PREFIX


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
    key = base64.b64decode(secret.removeprefix(PREFIX))
    signed = f"{event_id}.{moment}.".encode() + body
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
