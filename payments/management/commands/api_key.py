"""`manage.py api_key`: issues, lists, rolls and revokes the secret keys of a merchant."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError, CommandParser

from payments.clock import now_utc
from payments.management.authors import add_author, author_of
from payments.management.commands.merchant import merchant_of
from payments.management.rows import RowCommand, add_verb
from payments.models import ApiKey
from payments.services.commands.operators.merchants import (
    issue_api_key,
    revoke_api_key,
    roll_api_key,
)


class Command(RowCommand):
    help = "Issue a secret key (shown once), list a merchant's keys, roll one or revoke one."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        create = add_verb(verbs, "create", "issue a key; it is shown now and never again")
        create.add_argument("merchant", help="acct_…")
        create.add_argument("--live", action="store_true", help="for live payments")
        create.add_argument("--name", default="", help="what it is for")
        create.add_argument("--expires-in-days", type=int, help="it is refused after that")
        add_verb(verbs, "list", "list a merchant's keys").add_argument("merchant", help="acct_…")
        roll = add_verb(verbs, "roll", "issue a key in place of another one")
        roll.add_argument("key", help="the id that list shows")
        roll.add_argument(
            "--overlap-hours", type=float, default=24, help="how long both are accepted"
        )
        revoke = add_verb(verbs, "revoke", "refuse a key from now on")
        revoke.add_argument("key", help="the id that list shows")
        for each in (create, roll, revoke):
            add_author(each)

    def _create(self, given: dict[str, Any]) -> dict[str, Any]:
        merchant, days = merchant_of(given["merchant"]), given["expires_in_days"]
        account = merchant.live_psp_account if given["live"] else merchant.test_psp_account
        if account is None:
            mode = "live" if given["live"] else "test"
            raise CommandError(
                f"{merchant.public_id} has no PSP account for {mode} payments. Set one: manage.py "
                f"merchant set {merchant.public_id} --{mode}-account CODE"
            )
        key, secret = issue_api_key(
            merchant=merchant,
            livemode=given["live"],
            author=author_of(given),
            name=given["name"],
            expires_at=now_utc() + timedelta(days=days) if days is not None else None,
        )
        return {**_shown(key), "secret": secret}

    def _list(self, given: dict[str, Any]) -> list[dict[str, Any]]:
        keys = ApiKey.objects.filter(merchant=merchant_of(given["merchant"])).order_by("id")
        return [_shown(key) for key in keys]

    def _roll(self, given: dict[str, Any]) -> dict[str, Any]:
        overlap = timedelta(hours=given["overlap_hours"])
        key, secret = roll_api_key(_key_of(given["key"]), overlap=overlap, author=author_of(given))
        return {**_shown(key), "secret": secret}

    def _revoke(self, given: dict[str, Any]) -> dict[str, Any]:
        key = _key_of(given["key"])
        revoke_api_key(key, author=author_of(given))
        return _shown(key)


def _key_of(identifier: str) -> ApiKey:
    try:
        found = ApiKey.objects.select_related("merchant").filter(pk=UUID(identifier)).first()
    except ValueError:
        found = None
    if found is None:
        raise CommandError(f"no such key: {identifier}. manage.py api_key list acct_… shows all.")
    return found


def _shown(key: ApiKey) -> dict[str, Any]:
    return {
        "key": str(key.id),
        "ends in": key.last4,
        "name": key.name,
        "mode": "live" if key.livemode else "test",
        "state": _state(key),
        "created": f"{key.created_at:%Y-%m-%d}",
        "expires": f"{key.expires_at:%Y-%m-%d %H:%M} UTC" if key.expires_at else None,
    }


def _state(key: ApiKey) -> str:
    if key.revoked_at is not None:
        return "revoked"
    is_over = key.expires_at is not None and key.expires_at <= now_utc()
    return "expired" if is_over else "valid"
