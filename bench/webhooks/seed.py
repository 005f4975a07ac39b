"""`python -m bench.webhooks.seed URL…`: a merchant with these endpoints; prints its id as JSON."""

from __future__ import annotations

import json
import os
import sys

import django


def main() -> int:
    """Make them as the services would, save for the limit of endpoints."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "paymentsite.settings")
    django.setup()
    from payments import public_ids
    from payments.models import WebhookEndpoint
    from payments.public_ids import created_at_of
    from payments.services.commands.merchants import create_merchant
    from payments.services.merchant_webhooks import secrets

    merchant = create_merchant(name="Bench of webhooks")
    for url in sys.argv[1:]:
        identifier = public_ids.new_id()
        WebhookEndpoint(
            id=identifier,
            merchant=merchant,
            livemode=False,
            url=url,
            enabled_events=["*"],
            api_version="2026-10-28.endive",
            sealed_secret=secrets.seal(secrets.new_secret()),
            created_at=created_at_of(identifier),
            updated_at=created_at_of(identifier),
        ).save(force_insert=True)
    print(json.dumps(str(merchant.id)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
