"""Makes the bench's merchant and prints its secret key: `python -m bench.seed`."""

from __future__ import annotations

import os
import sys

import django


def main() -> int:
    """One merchant with everything as a new merchant has it."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "paymentsite.settings"
    django.setup()
    from payments.models import PspAccount
    from payments.services.commands.merchants import create_merchant, issue_api_key

    account = PspAccount.objects.create(code="sandbox", psp="sandbox")
    merchant = create_merchant(name="Bench", test_psp_account=account)
    _, secret_key = issue_api_key(merchant=merchant, livemode=False)
    print(secret_key)
    return 0


if __name__ == "__main__":
    sys.exit(main())
