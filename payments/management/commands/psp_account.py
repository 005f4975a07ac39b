"""`manage.py psp_account`: creates, lists, shows and changes the accounts at PSPs."""

from __future__ import annotations

from typing import Any, Final

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from payments.management.rows import RowCommand, add_settings, add_verb, given_settings
from payments.models import PspAccount
from payments.services.commands.merchants import change_psp_account, create_psp_account

_SETTINGS: Final = ("hold_days", "settlement_delay_days")


class Command(RowCommand):
    help = "Create an account at a PSP, list accounts, show one, or change its settings."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        create = add_verb(verbs, "create", "create an account")
        create.add_argument("code", help="its name here, under which its credentials are set")
        create.add_argument("--psp", default="sandbox", help="the PSP's adapter")
        create.add_argument("--live", action="store_true", help="for live payments")
        add_settings(create, PspAccount, _SETTINGS)
        change = add_verb(verbs, "set", "change settings; those not named stay")
        change.add_argument("code")
        add_settings(change, PspAccount, _SETTINGS)
        add_verb(verbs, "list", "list all accounts")
        add_verb(verbs, "show", "show one").add_argument("code")

    def _create(self, given: dict[str, Any]) -> dict[str, Any]:
        account = create_psp_account(
            code=given["code"],
            psp=given["psp"],
            livemode=given["live"],
            **given_settings(given, PspAccount, _SETTINGS),
        )
        return _shown(account)

    def _set(self, given: dict[str, Any]) -> dict[str, Any]:
        values = given_settings(given, PspAccount, _SETTINGS)
        if not values:
            raise CommandError("name what is to change, such as --hold-days 5")
        return _shown(change_psp_account(_account_of(given["code"]), **values))

    def _list(self, given: dict[str, Any]) -> list[dict[str, Any]]:
        return [_shown(row) for row in PspAccount.objects.order_by("code")]

    def _show(self, given: dict[str, Any]) -> dict[str, Any]:
        return _shown(_account_of(given["code"]))


def _account_of(code: str) -> PspAccount:
    found = PspAccount.objects.filter(code=code).first()
    if found is None:
        raise CommandError(f"no such PSP account: {code}. manage.py psp_account list shows all.")
    return found


def _shown(account: PspAccount) -> dict[str, Any]:
    has_credentials = bool(settings.PSP_CREDENTIALS.get(account.code, {}).get("base_url"))
    return {
        "code": account.code,
        "psp": account.psp,
        "mode": "live" if account.livemode else "test",
        "credentials": "set" if has_credentials else "missing: see PSP_CREDENTIALS",
        **{name: getattr(account, name) for name in _SETTINGS},
    }
