"""Makes the merchants of a run: `python -m bench.seed merchants 4`, `… routed-merchants 4`, which
have two PSP accounts, `… shop URL`, `… webhooks`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any

import django


def merchants(count: int) -> list[str]:
    """Make merchants with everything as a new one has it, at one PSP account; their secret keys."""
    from payments.services.audit.authors import Author
    from payments.services.commands.operators.merchants import create_merchant, issue_api_key

    account, author = sandbox_account(), Author("job:bench")
    keys = []
    for number in range(count):
        merchant = create_merchant(name=f"Bench {number}", author=author, test_psp_account=account)
        keys.append(issue_api_key(merchant=merchant, livemode=False, author=author)[1])
    return keys


def routed_merchants(count: int) -> list[str]:
    """The same, with a second account: a charge that one account did not make goes to the other."""
    from payments.models import RoutingRule

    keys = merchants(count)
    first, second = (sandbox_account(number).code for number in (1, 2))
    rules = (({"currencies": ["EUR"]}, second, first), ({}, first, second))
    for position, (conditions, account, further) in enumerate(rules, start=1):
        RoutingRule.objects.create(
            livemode=False,
            position=position,
            name=f"First {account}, then {further}",
            conditions=conditions,
            targets={"split": [{"account": account, "share": 100}], "fallback": [further]},
        )
    return keys


def sandbox_account(number: int = 1) -> Any:
    """The PSP account that the settings describe, made if need be; its PSP need not run yet.

    A further one has a number, and an API key of its own.
    """
    from django.conf import settings

    from payments.models import PspAccount
    from payments.services.psp_gateway.credentials import seal_credentials
    from payments.states import PspAccountStatus

    code, credentials = "sandbox", dict(settings.SANDBOX_PSP_CREDENTIALS)
    if number > 1:
        code = f"{code}-{number}"
        credentials["api_key"] += f"_{number}"
    account, _ = PspAccount.objects.get_or_create(
        code=code,
        defaults={
            "psp": "sandbox",
            "status": PspAccountStatus.ACTIVE,
            "sealed_credentials": seal_credentials(code, credentials),
        },
    )
    return account


def shop(url: str) -> str:
    """Make a merchant that can be paid, with one endpoint; its secret key."""
    from payments.models import ApiKey

    [secret_key] = merchants(1)
    add_endpoints(ApiKey.objects.order_by("-id")[0].merchant, [url])
    return secret_key


def webhooks(urls: Sequence[str]) -> str:
    """Make a merchant with these endpoints, without the limit of endpoints; its id."""
    from payments.services.audit.authors import Author
    from payments.services.commands.operators.merchants import create_merchant

    merchant = create_merchant(name="Bench of webhooks", author=Author("job:bench"))
    add_endpoints(merchant, urls)
    return str(merchant.id)


def add_endpoints(merchant: Any, urls: Sequence[str]) -> None:
    """Give a merchant endpoints with these addresses, whatever they are."""
    from payments import public_ids, sealing
    from payments.models import WebhookEndpoint
    from payments.services.merchant_webhooks import secrets

    for url in urls:
        identifier = public_ids.new_id()
        WebhookEndpoint(
            id=identifier,
            merchant=merchant,
            livemode=False,
            url=url,
            enabled_events=["*"],
            api_version="2026-10-28.endive",
            sealed_secret=sealing.seal(secrets.new_secret()),
            created_at=public_ids.created_at_of(identifier),
            updated_at=public_ids.created_at_of(identifier),
        ).save(force_insert=True)


def main(what: str, *arguments: str) -> int:
    """Make them and print as JSON what the run needs."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "paymentsite.settings")
    django.setup()
    made: object
    if what in ("merchants", "routed-merchants"):
        make = merchants if what == "merchants" else routed_merchants
        made = make(int(arguments[0]))
    else:
        made = shop(arguments[0]) if what == "shop" else webhooks(arguments)
    print(json.dumps(made))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
