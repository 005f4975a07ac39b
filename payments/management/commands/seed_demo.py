"""`manage.py seed_demo`: merchants, fresh API keys and logins for a demonstration.

Prints one JSON object and nothing else: secrets are shown here once and stored nowhere in clear.
"""

from __future__ import annotations

import json
import secrets
from typing import Any, Final

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group, User
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from payments.management.commands.staff import make_superuser
from payments.models import ApiKey, Merchant, PspAccount
from payments.services.commands.merchants import create_merchant, issue_api_key, revoke_api_key

KEY_NAME: Final = "demo"
# Name and platform fee in basis points.
MERCHANTS: Final = (("Northwind Books", 0), ("Tailspin Coffee", 150))
ROLES: Final = ("support", "finance", "on-call")
"""A login for each; migrations made the roles."""


class Command(BaseCommand):
    """Run again, it finds its merchants and users, and gives them fresh keys and passwords.

    Each merchant and each user is committed by itself: hashing a password takes too long for a
    transaction. After a failure, run it again.
    """

    help = "Make the demo's merchants and logins; print their secrets as one JSON object."

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.PAYMENTS_ENVIRONMENT == "production":
            raise CommandError(
                "a demo's logins have no place in production: set PAYMENTS_ENVIRONMENT=development"
            )
        merchants = [_merchant(name, fee) for name, fee in MERCHANTS]
        logins = [_admin(), *(_login(role) for role in ROLES)]
        self.stdout.write(json.dumps({"merchants": merchants, "logins": logins}))


@transaction.atomic
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


def _admin() -> dict[str, str]:
    """The superuser `admin`, with a fresh password."""
    password, hashed = _fresh_password()
    user = _save_user("admin", hashed)
    if not user.is_superuser:
        make_superuser(user)
    return {"role": "admin", "username": "admin", "password": password}


def _login(role: str) -> dict[str, str]:
    """A user with one role, with a fresh password."""
    password, hashed = _fresh_password()
    with transaction.atomic():
        group = Group.objects.get(name=role)
        _save_user(role, hashed).groups.set([group])
    return {"role": role, "username": role, "password": password}


def _fresh_password() -> tuple[str, str]:
    """A password and its hash, which takes seconds on a busy machine: never in a transaction."""
    password = secrets.token_urlsafe(12)
    return password, make_password(password)


def _save_user(username: str, hashed_password: str) -> User:
    """The user of this name with this password; sessions of the old password end."""
    user, _ = User.objects.get_or_create(username=username)
    user.is_staff = user.is_active = True
    user.password = hashed_password
    user.save()
    return user
