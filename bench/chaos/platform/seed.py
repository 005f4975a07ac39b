"""Makes a run's merchants, prints their secret keys: `python -m bench.chaos.platform.seed 4`."""

from __future__ import annotations

import json
import os
import sys

import django


def main() -> int:
    """Merchants with everything as a new merchant has it, at one PSP account."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "paymentsite.settings"
    django.setup()
    from payments.models import PspAccount
    from payments.services.commands.merchants import create_merchant, issue_api_key

    account = PspAccount.objects.create(code="sandbox", psp="sandbox")
    keys = []
    for number in range(int(sys.argv[1])):
        merchant = create_merchant(name=f"Chaos {number}", test_psp_account=account)
        keys.append(issue_api_key(merchant=merchant, livemode=False)[1])
    print(json.dumps(keys))
    return 0


if __name__ == "__main__":
    sys.exit(main())
