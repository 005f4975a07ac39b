"""Rows that tests start from, and the credentials of their PSP accounts, unchecked by any PSP.

Payments themselves are made by the commands, never by a factory.
"""

from __future__ import annotations

import os
import uuid
from typing import Final

import factory
import psycopg
from django.conf import settings
from django.contrib.auth.models import User

from payments.models import Merchant, PspAccount
from payments.services.audit.authors import Author
from payments.services.psp_gateway import accounts
from payments.services.psp_gateway.credentials import open_credentials, seal_credentials
from payments.states import PspAccountStatus
from psp_adapters.registry import BadCredentials

NOWHERE = "http://127.0.0.1:1"


def credentials_of(account: PspAccount) -> dict[str, str]:
    """The stored credentials of an account."""
    return open_credentials(PspAccount.objects.get(pk=account.pk))


def set_credentials(account: PspAccount, /, **changes: str) -> None:
    """Change some credentials of an account; this process sees them at once."""
    row = PspAccount.objects.get(pk=account.pk)
    try:
        present = open_credentials(row)
    except BadCredentials:
        present = {}
    row.sealed_credentials = seal_credentials(row.code, {**present, **changes})
    row.save(update_fields=["sealed_credentials"])
    accounts.forget_accounts()


def lose_credentials(account: PspAccount) -> None:
    """Make stored credentials such that no key decrypts them; this process sees it at once."""
    PspAccount.objects.filter(pk=account.pk).update(sealed_credentials="lost")
    accounts.forget_accounts()


def move_to_psp(account: PspAccount, psp: str) -> None:
    """Make an account one of another PSP, as only the owner of the table may."""
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"], autocommit=True) as owner:
        owner.execute("ALTER TABLE payments_psp_account DISABLE TRIGGER permanent_columns")
        change = "UPDATE payments_psp_account SET psp = %s WHERE id = %s"
        owner.execute(change, [psp, account.pk])
        owner.execute("ALTER TABLE payments_psp_account ENABLE TRIGGER permanent_columns")
    account.refresh_from_db()
    accounts.forget_accounts()


def sandbox_credentials(code: str, base_url: str) -> str:
    """Sealed credentials of an account of its own at a sandbox PSP."""
    return seal_credentials(code, {"base_url": base_url, "api_key": f"sandbox_{uuid.uuid4().hex}"})


def sandbox_account() -> PspAccount:
    """The account that the settings describe, made if need be."""
    account, _ = PspAccount.objects.get_or_create(
        code="sandbox",
        defaults={
            "psp": "sandbox",
            "status": PspAccountStatus.ACTIVE,
            "sealed_credentials": seal_credentials("sandbox", settings.SANDBOX_PSP_CREDENTIALS),
        },
    )
    return account


class PspAccountFactory(factory.django.DjangoModelFactory[PspAccount]):
    class Meta:
        model = PspAccount

    code = factory.LazyFunction(lambda: f"sandbox-{uuid.uuid4().hex[:12]}")
    psp = "sandbox"
    status = PspAccountStatus.ACTIVE
    sealed_credentials = factory.LazyAttribute(
        lambda account: sandbox_credentials(account.code, settings.SANDBOX_PSP_URL or NOWHERE)
    )


class MerchantFactory(factory.django.DjangoModelFactory[Merchant]):
    class Meta:
        model = Merchant

    name = factory.Sequence(lambda number: f"Merchant {number}")
    test_psp_account = factory.SubFactory(PspAccountFactory)


TESTS: Final = Author("job:tests")
"""The author of what a test needs before it begins."""


def staff(name: str, reason: str = "") -> Author:
    """A staff user of this name, made if need be."""
    User.objects.get_or_create(username=name, defaults={"is_staff": True})
    return Author(f"staff:{name}", reason)
