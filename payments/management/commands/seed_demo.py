"""`manage.py seed_demo`: merchants, fresh API keys and logins for a demonstration.

Prints one JSON object and nothing else: secrets are shown here once and stored nowhere in clear.
"""

from __future__ import annotations

import json
import secrets
from typing import Any, Final

from django.conf import settings
from django.contrib.auth.models import Group, Permission, User
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from payments.models import ApiKey, Merchant, PspAccount
from payments.services.commands.merchants import create_merchant, issue_api_key, revoke_api_key

KEY_NAME: Final = "demo"
# Name and platform fee in basis points.
MERCHANTS: Final = (("Northwind Books", 0), ("Tailspin Coffee", 150))
# A role may view these apps' tables; it may change none.
ROLES: Final = {
    "support": ("payments", "reconciliation"),
    "finance": ("payments", "ledger", "reconciliation"),
}
# Support and finance work on payments; how a merchant gets in is not for them to see.
_NOT_FOR_ROLES: Final = ("view_apikey",)


class Command(BaseCommand):
    """Run again, it finds its merchants and people, and gives them fresh keys and passwords."""

    help = "Make the demo's merchants and logins; print their secrets as one JSON object."

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.PAYMENTS_ENVIRONMENT == "production":
            raise CommandError(
                "a demo's logins have no place in production: set PAYMENTS_ENVIRONMENT=development"
            )
        with transaction.atomic():
            merchants = [_merchant(name, fee) for name, fee in MERCHANTS]
            logins = [_superuser(), *(_person(role) for role in ROLES)]
        self.stdout.write(json.dumps({"merchants": merchants, "logins": logins}))


def _merchant(name: str, platform_fee_basis_points: int) -> dict[str, str]:
    """The merchant of this name, made if need be, with a fresh key in place of its last one."""
    account, _ = PspAccount.objects.get_or_create(code="sandbox", defaults={"psp": "sandbox"})
    merchant = Merchant.objects.filter(name=name, test_psp_account=account).first()
    if merchant is None:
        merchant = create_merchant(
            name=name,
            test_psp_account=account,
            platform_fee_basis_points=platform_fee_basis_points,
        )
    for key in ApiKey.objects.filter(merchant=merchant, name=KEY_NAME, revoked_at__isnull=True):
        revoke_api_key(key)
    _, secret = issue_api_key(merchant=merchant, livemode=False, name=KEY_NAME)
    return {"name": merchant.name, "secret_key": secret}


def _superuser() -> dict[str, str]:
    return _login("admin", role="admin", is_superuser=True)


def _person(role: str) -> dict[str, str]:
    """A person with one role, whose rights are set anew."""
    group, _ = Group.objects.get_or_create(name=role)
    group.permissions.set(
        Permission.objects.filter(
            content_type__app_label__in=ROLES[role], codename__startswith="view_"
        ).exclude(codename__in=_NOT_FOR_ROLES)
    )
    login = _login(role, role=role, is_superuser=False)
    User.objects.get(username=role).groups.set([group])
    return login


def _login(username: str, *, role: str, is_superuser: bool) -> dict[str, str]:
    """The person of this name with a fresh password; sessions of the old one end."""
    password = secrets.token_urlsafe(12)
    person, _ = User.objects.get_or_create(username=username)
    person.is_staff, person.is_superuser, person.is_active = True, is_superuser, True
    person.set_password(password)
    person.save()
    return {"role": role, "username": username, "password": password}
