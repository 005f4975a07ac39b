"""Lives every life in this process: `python -m bench.growth.scratch PSP_URL FILE`.

In a database of its own, which is dropped afterwards. What was recorded is written to the file.
"""

from __future__ import annotations

import os
import pickle
import secrets
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import django

from bench.growth.lives import FEE_BASIS_POINTS, LIVES, Life
from bench.growth.recording import Recorder, Recording
from bench.growth.visits import Psp, inbox, new_word

_SETTLES_AFTER_SECONDS: Final = 0.3
_WAIT_MS: Final = 60_000
"""A payment is not to be answered as processing because the machine is slow."""


def record(
    *,
    psp_url: str,
    credentials: dict[str, str],
    account: Any,
    owner_url: str,
    lives: Sequence[Life],
) -> Recording:
    """Live these lives at two new merchants of the account, one with a fee and an endpoint."""
    from payments.services.audit.authors import Author
    from payments.services.commands.operators.merchants import create_merchant, issue_api_key

    founded_at, author = time.time(), Author("job:bench")
    secret = secrets.token_hex(16)
    _sign_notifications(account, {**credentials, "webhook_secrets": secret})
    psp = Psp(base_url=psp_url, api_key=credentials["api_key"])
    psp.control("PUT", "behavior", {"settle_delay_seconds": _SETTLES_AFTER_SECONDS})
    with inbox() as received:
        psp.register(f"{received.url}/psp", secret)
        keys = {}
        for fee in (0, FEE_BASIS_POINTS):
            merchant = create_merchant(
                name=f"Shop {new_word()}",
                author=author,
                test_psp_account=account,
                platform_fee_basis_points=fee,
                psp_wait_ms=_WAIT_MS,
            )
            keys[merchant.id] = issue_api_key(merchant=merchant, livemode=False, author=author)[1]
        endpoint = _add_endpoint(merchant, f"{received.url}/hook")
        try:
            recording = Recorder(
                psp=psp,
                received=received,
                account=account,
                owner_url=owner_url,
                founded_at=founded_at,
                before_reading=lambda: _disable(endpoint),
            ).record(lives, keys)
        finally:
            psp.unregister()
    return recording


def _sign_notifications(account: Any, credentials: dict[str, str]) -> None:
    from payments.services.psp_gateway.accounts import forget_accounts
    from payments.services.psp_gateway.credentials import seal_credentials

    account.sealed_credentials = seal_credentials(account.code, credentials)
    account.save(update_fields=["sealed_credentials"])
    forget_accounts()


def _add_endpoint(merchant: Any, url: str) -> Any:
    from bench.seed import add_endpoints
    from payments.models import WebhookEndpoint

    add_endpoints(merchant, [url])
    return WebhookEndpoint.objects.get(merchant=merchant)


def _disable(endpoint: Any) -> None:
    """Its server is gone, and its sealed secret could be opened by this process only."""
    from payments.clock import now_utc

    endpoint.refresh_from_db()
    endpoint.disable()
    endpoint.disabled_because, endpoint.disabled_at = "merchant", now_utc()
    endpoint.url = "https://shop.example/hook"
    endpoint.save(update_fields=["status", "disabled_because", "disabled_at", "url"])


def main(psp_url: str, file: str) -> int:
    """Record all lives with the settings of this process."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "paymentsite.settings")
    django.setup()
    from django.conf import settings

    from bench.seed import sandbox_account

    recording = record(
        psp_url=psp_url,
        credentials=settings.SANDBOX_PSP_CREDENTIALS,
        account=sandbox_account(),
        owner_url=os.environ["DATABASE_OWNER_URL"],
        lives=LIVES,
    )
    Path(file).write_bytes(pickle.dumps(recording))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
