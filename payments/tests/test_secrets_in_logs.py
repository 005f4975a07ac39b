"""Every form of secret that we issue is removed from logs, wherever it stands in a line."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator

from payments import public_ids
from payments.models import PaymentIntent
from payments.services.commands.operators import merchants
from payments.services.merchant_webhooks.secrets import new_secret
from payments.services.psp_gateway.references import return_link
from payments.tests.support.factories import TESTS
from payments.tests.support.shop import Shop
from paymentsite.launcher.state import PROJECT
from paymentsite.logs import REMOVED, redact_text


def _issued(shop: Shop) -> Iterator[tuple[str, str]]:
    """What stands before a secret, and the secret: one of each form, from where it is made."""
    for livemode in (False, True):
        yield (
            "",
            merchants.issue_api_key(merchant=shop.merchant, livemode=livemode, author=TESTS)[1],
        )
    yield "", new_secret()
    shop.create(1_000, confirm=False)
    intent = PaymentIntent.objects.get()
    identifier, middle, half = intent.client_secret.partition(public_ids.CLIENT_HALF)
    yield identifier + middle, half
    before, middle, token = return_link(intent).partition("?token=")
    yield before + middle, token
    for page in ("https://pay.example/checkout/", "https://pay.example/checkout/link/"):
        yield page, secrets.token_urlsafe(24)


def test_every_form_of_secret_that_we_issue_is_removed_wherever_it_stands(shop: Shop) -> None:
    around = ("{}", "key={}&x=1", "Authorization%3DBearer%20{}", '{{"a": "{}"}}', "x{}.", "'{}'")
    for before, secret in _issued(shop):
        for text in around:
            line = redact_text(text.format(before + secret))
            assert secret[8:] not in line, (text, before)
            assert before in line
    for signs in ("abc-def_ghi-jkl", "-abcdefgh", "_abcdefgh-"):  # as in most client secrets
        half = f"pi_A{public_ids.CLIENT_HALF}"
        assert redact_text(f"{half}{signs} x") == f"{half}{REMOVED} x"


def test_no_other_module_makes_secrets() -> None:
    """A module that is added here adds its form to `public_ids.SECRET_FORMS`, or never logs it."""
    makers = {
        str(path.relative_to(PROJECT))
        for app in ("ledger", "payments", "reconciliation", "paymentsite")
        for path in (PROJECT / app).rglob("*.py")
        if "tests" not in path.parts
        and re.search(r"secrets\.(token_|choice)|urandom", path.read_text())
    }
    assert makers == {
        "payments/services/checkout/links.py",
        "payments/services/checkout/sessions.py",
        "payments/services/commands/create_and_confirm.py",
        "payments/services/commands/operators/merchants.py",
        "payments/services/commands/setups/intents.py",
        "payments/services/merchant_webhooks/secrets.py",
        "payments/services/audit/authors.py",  # keys of services: printed once, never logged
        "payments/services/commands/operators/staff.py",  # passwords: the same
        "paymentsite/launcher/state.py",  # of the embedded servers: kept in one private file
    }
