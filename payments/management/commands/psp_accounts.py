"""`manage.py psp_accounts`: creates and changes PSP accounts; pauses, resumes and closes them.

Credentials are read from a file, from standard input or from prompts: arguments of a process are
seen by every user of the machine. They are never shown again.
"""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser

from payments.management.authors import add_author, add_most, history_of, named_author_of
from payments.management.rows import RowCommand, add_settings, add_verb, given_settings
from payments.models import AuditEntry, PspAccount
from payments.services.commands.operators import psp_accounts as commands
from payments.services.psp_gateway.credentials import require_working
from psp_adapters.registry import UnknownPsp, credential_fields_of

_SETTINGS: Final = ("hold_days", "settlement_delay_days", "look_ups_per_minute")
_LISTS: Final = {
    "--methods": "methods",
    "--currencies": "currencies",
    "--countries": "countries",
    "--rules-off": "rules_off",
}
_JSON: Final = {
    "--limits": "limits",
    "--costs": "costs",
    "--settlement-calendar": "settlement_calendar",
}
_TERMS: Final = _LISTS | _JSON
_OBJECTS: Final = ("limits", "settlement_calendar")
"""Those of them that are JSON objects."""


class Command(RowCommand):
    help = "List, show, create, change, check, pause, resume and close accounts at PSPs."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        add_verb(verbs, "list", "list all accounts")
        create = add_verb(verbs, "create", "create an account, once its credentials are checked")
        create.add_argument("--psp", default="sandbox", help="the PSP's adapter")
        create.add_argument("--live", action="store_true", help="for live payments")
        change = add_verb(verbs, "change", "change settings or credentials; those not named stay")
        for each in (create, change):
            _add_changes(each)
        create.add_argument(
            "--paused", action="store_true", help="without credentials, to be given later"
        )
        for verb, what in (
            ("show", "show one"),
            ("check", "check its credentials with its PSP, by reads that change nothing"),
            ("pause", "have it take no new charges, until it is resumed"),
            ("resume", "check its credentials, and have it take new charges again"),
            ("close", "have it never take new charges again"),
        ):
            parser_of_verb = add_verb(verbs, verb, what)
            parser_of_verb.add_argument("code")
            if verb in ("pause", "resume", "close"):
                add_author(parser_of_verb)
        history = add_verb(verbs, "history", "show who changed it, what and why")
        history.add_argument("code")
        add_most(history)
        for each in (create, change):
            each.add_argument("code", help="its name here, which is in the address of its webhook")
        reseal = add_verb(verbs, "reseal", "encrypt all credentials with the first encryption key")
        for each in (create, change, reseal):
            add_author(each)

    def _list(self, given: dict[str, Any]) -> list[dict[str, Any]]:
        return [
            {
                "code": row.code,
                "psp": row.psp,
                "mode": _mode(row),
                "status": row.status,
                "credentials": _credentials(row),
                "methods": ", ".join(row.methods) or "all",
                "currencies": ", ".join(row.currencies) or "all",
            }
            for row in PspAccount.objects.order_by("code")
        ]

    def _show(self, given: dict[str, Any]) -> dict[str, Any]:
        return _shown(_account_of(given["code"]))

    def _create(self, given: dict[str, Any]) -> dict[str, Any]:
        if PspAccount.objects.filter(code=given["code"]).exists():
            raise CommandError(f"there is a PSP account {given['code']}: `change` changes it")
        account = commands.create_psp_account(
            code=given["code"],
            psp=given["psp"],
            livemode=given["live"],
            author=named_author_of(given),
            given=None if given["paused"] else _given_credentials(given, psp=given["psp"]),
            **_changes(given),
        )
        return _shown(account)

    def _change(self, given: dict[str, Any]) -> dict[str, Any]:
        account, values = _account_of(given["code"]), _changes(given)
        wants_credentials = given["ask"] or given["credentials"] is not None
        if not values and not wants_credentials:
            raise CommandError("name what is to change, such as --hold-days 5 or --credentials -")
        secrets = _given_credentials(given, psp=account.psp) if wants_credentials else None
        author = named_author_of(given)
        return _shown(commands.change_psp_account(account, author=author, given=secrets, **values))

    def _check(self, given: dict[str, Any]) -> dict[str, Any]:
        account = _account_of(given["code"])
        require_working(account)
        return {"code": account.code, "credentials": f"{account.psp} takes them"}

    def _pause(self, given: dict[str, Any]) -> dict[str, Any]:
        account, author = _account_of(given["code"]), named_author_of(given)
        return _shown(commands.pause_psp_account(account, author=author))

    def _resume(self, given: dict[str, Any]) -> dict[str, Any]:
        account, author = _account_of(given["code"]), named_author_of(given)
        return _shown(commands.resume_psp_account(account, author=author))

    def _close(self, given: dict[str, Any]) -> dict[str, Any]:
        account, author = _account_of(given["code"]), named_author_of(given)
        return _shown(commands.close_psp_account(account, author=author))

    def _reseal(self, given: dict[str, Any]) -> dict[str, Any]:
        done = commands.reseal_credentials(author=named_author_of(given))
        return {"accounts with credentials encrypted anew": done}

    def _history(self, given: dict[str, Any]) -> list[dict[str, Any]]:
        account = _account_of(given["code"])
        return history_of(AuditEntry.objects.filter(object_id=account.pk), given)


def _add_changes(parser: CommandParser) -> None:
    parser.add_argument(
        "--credentials",
        metavar="FILE",
        help="a file with a JSON object of them; - reads standard input",
    )
    parser.add_argument("--ask", action="store_true", help="ask for each credential")
    for option, name in _TERMS.items():
        text = str(getattr(PspAccount._meta.get_field(name), "help_text", ""))
        form = "separated by commas" if option in _LISTS else "as JSON"
        parser.add_argument(option, help=f"{text} Written {form}; `none` removes them.")
    add_settings(parser, PspAccount, _SETTINGS)


def _changes(given: dict[str, Any]) -> dict[str, Any]:
    values = given_settings(given, PspAccount, _SETTINGS)
    for option, name in _TERMS.items():
        text = given[name]
        if text is None:
            continue
        if text == "none":
            values[name] = {} if name in _OBJECTS else []
        elif option in _LISTS:
            values[name] = [each.strip() for each in text.split(",")]
        else:
            try:
                values[name] = json.loads(text)
            except ValueError:
                raise ValidationError(f"{option}: this is no JSON") from None
    return values


def _given_credentials(given: dict[str, Any], *, psp: str) -> dict[str, str]:
    """What a file, standard input or the operator says; raises CommandError."""
    source = given["credentials"]
    if given["ask"]:
        return _asked(psp)
    if source is None:
        raise CommandError(
            "give --credentials FILE, --credentials - for standard input, or --ask; or --paused, "
            "to give them later"
        )
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text()
        found = json.loads(text)
    except OSError as error:
        raise CommandError(f"--credentials {source}: {error.strerror}") from None
    except ValueError:
        raise CommandError(f"--credentials {source}: this is no JSON") from None
    if not isinstance(found, dict) or not all(isinstance(each, str) for each in found.values()):
        raise CommandError(f'--credentials {source}: write {{"api_key": "…"}}, each a text')
    return found


def _asked(psp: str) -> dict[str, str]:
    try:
        fields = credential_fields_of(psp)
    except UnknownPsp:
        raise CommandError(f"there is no adapter for the PSP {psp}") from None
    found = {}
    for field in fields:
        ask: Callable[[str], str] = getpass.getpass if field.is_secret else input
        usual = "" if field.default is None else f" [{field.default or 'none'}]"
        answer = ask(f"{field.name} ({field.meaning}){usual}: ").strip()
        if answer:
            found[field.name] = answer
    return found


def _account_of(code: str) -> PspAccount:
    found = PspAccount.objects.filter(code=code).first()
    if found is None:
        raise CommandError(f"no such PSP account: {code}. manage.py psp_accounts list shows all.")
    return found


def _shown(account: PspAccount) -> dict[str, Any]:
    return {
        "code": account.code,
        "psp": account.psp,
        "mode": _mode(account),
        "status": account.status,
        "credentials": _credentials(account),
        "webhook": f"/psp/{account.code}/webhook",
        **{name: getattr(account, name) or None for name in _TERMS.values()},
        **{name: getattr(account, name) for name in _SETTINGS},
    }


def _mode(account: PspAccount) -> str:
    return "live" if account.livemode else "test"


def _credentials(account: PspAccount) -> str:
    return "set" if account.sealed_credentials else "missing"
