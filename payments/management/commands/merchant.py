"""`manage.py merchant`: creates merchants, lists and shows them, and changes their settings."""

from __future__ import annotations

import json
from typing import Any, Final

from django.core.management.base import CommandError, CommandParser

from payments import public_ids
from payments.management.authors import add_author, author_of
from payments.management.rows import RowCommand, add_settings, add_verb, given_settings
from payments.models import Merchant, PspAccount
from payments.services.commands.operators.merchants import change_merchant, create_merchant

_SETTINGS: Final = (
    *("name", "platform_fee_basis_points", "idempotency_key_required", "order_guard"),
    *("psp_wait_ms", "late_success_policy", "void_uncaptured_after_hours"),
    *("warn_before_expiry_hours", "dispute_loss_policy", "disputed_refund_policy"),
)


class Command(RowCommand):
    help = "Create a merchant, list merchants, show one, or change its settings."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        create = add_verb(verbs, "create", "create a merchant")
        create.add_argument("name", help="how the business is called")
        add_settings(create, Merchant, _SETTINGS[1:])
        change = add_verb(verbs, "set", "change settings; those not named stay")
        change.add_argument("merchant", help="acct_…")
        add_settings(change, Merchant, _SETTINGS)
        for each in (create, change):
            each.add_argument("--test-account", help="the PSP account of test payments, by code")
            each.add_argument("--live-account", help="the PSP account of live payments, by code")
            each.add_argument(
                "--refund-approval-limits",
                help='a JSON object such as {"EUR": 50000}: how much of one payment goes back '
                "without a second person, in minor units; {} sets none",
            )
            add_author(each)
        add_verb(verbs, "list", "list all merchants")
        add_verb(verbs, "show", "show one").add_argument("merchant", help="acct_…")

    def _create(self, given: dict[str, Any]) -> dict[str, Any]:
        values = given_settings(given, Merchant, _SETTINGS[1:]) | _accounts(given) | _limits(given)
        return _shown(create_merchant(name=given["name"], author=author_of(given), **values))

    def _set(self, given: dict[str, Any]) -> dict[str, Any]:
        values = given_settings(given, Merchant, _SETTINGS) | _accounts(given) | _limits(given)
        if not values:
            raise CommandError("name what is to change, such as --order-guard off")
        merchant = merchant_of(given["merchant"])
        return _shown(change_merchant(merchant, author=author_of(given), **values))

    def _list(self, given: dict[str, Any]) -> list[dict[str, Any]]:
        rows = Merchant.objects.select_related("test_psp_account", "live_psp_account")
        return [
            {
                "merchant": row.public_id,
                "name": row.name,
                "test account": _code(row.test_psp_account),
                "live account": _code(row.live_psp_account),
                "created": f"{row.created_at:%Y-%m-%d}",
            }
            for row in rows.order_by("id")
        ]

    def _show(self, given: dict[str, Any]) -> dict[str, Any]:
        return _shown(merchant_of(given["merchant"]))


def merchant_of(public_id: str) -> Merchant:
    """The merchant of a public id; raises CommandError."""
    identifier = public_ids.decode(public_ids.MERCHANT, public_id)
    rows = Merchant.objects.select_related("test_psp_account", "live_psp_account")
    found = rows.filter(pk=identifier).first() if identifier is not None else None
    if found is None:
        raise CommandError(f"no such merchant: {public_id}. manage.py merchant list shows all.")
    return found


def _accounts(given: dict[str, Any]) -> dict[str, PspAccount | None]:
    found: dict[str, PspAccount | None] = {}
    for option in ("test", "live"):
        code = given.get(f"{option}_account")
        if code is None:
            continue
        account = PspAccount.objects.filter(code=code).first()
        if account is None and code != "none":
            raise CommandError(
                f"no such PSP account: {code}. manage.py psp_accounts create {code} makes it."
            )
        found[f"{option}_psp_account"] = account
    return found


def _limits(given: dict[str, Any]) -> dict[str, Any]:
    text = given.get("refund_approval_limits")
    if text is None:
        return {}
    try:
        return {"refund_approval_limits": json.loads(text)}
    except ValueError:
        raise CommandError("--refund-approval-limits: this is no JSON") from None


def _shown(merchant: Merchant) -> dict[str, Any]:
    return {
        "merchant": merchant.public_id,
        "created": f"{merchant.created_at:%Y-%m-%d %H:%M} UTC",
        "test_account": _code(merchant.test_psp_account),
        "live_account": _code(merchant.live_psp_account),
        **{name: getattr(merchant, name) for name in _SETTINGS},
        "refund_approval_limits": merchant.refund_approval_limits or None,
    }


def _code(account: PspAccount | None) -> str | None:
    return account.code if account is not None else None
