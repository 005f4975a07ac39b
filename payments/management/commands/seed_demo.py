"""`manage.py seed_demo`: merchants, fresh API keys and logins for a demonstration.

Runs the commands of an installation (docs/deployment.md) as an operator would. Prints one JSON
object and nothing else: secrets are shown here once and stored nowhere in clear.
"""

from __future__ import annotations

import json
from io import StringIO
from typing import Any, Final

from django.conf import settings
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from ledger.money import Money
from payments.models import ApprovalCommand, Merchant, PspAccount, RoutingRule
from payments.services.approvals.rights import set_limit
from payments.services.audit.authors import Author
from payments.services.commands.operators.psp_accounts import change_psp_account, create_psp_account
from payments.services.commands.operators.routing_rules import add_rule
from payments.services.psp_gateway.credentials import open_credentials
from psp_adapters.registry import BadCredentials

ACCOUNT: Final = "sandbox"
"""Also its PSP; the settings hold its credentials."""
FURTHER_ACCOUNT: Final = f"{ACCOUNT}-2"
"""At the same PSP, with an API key of its own."""
RULES: Final[tuple[tuple[str, dict[str, Any], str, str], ...]] = (
    ("Dinars to the second account", {"currencies": ["KWD"]}, FURTHER_ACCOUNT, ACCOUNT),
    ("All else to the first account", {}, ACCOUNT, FURTHER_ACCOUNT),
)
"""Name and conditions, the account, and the one after it."""
AUTHOR: Final = Author("job:seed_demo", "The demo starts.")
KEY_NAME: Final = "demo"
# Name and platform fee in basis points.
MERCHANTS: Final = (("Northwind Books", 0), ("Tailspin Coffee", 150))
SUPERUSER: Final = "admin"
REFUND_LIMITS: Final = '{"USD": 20000}'
"""More of one payment does not go back without a second person."""
LEADS_LIMIT: Final = Money(100_000, "USD")
ROLES: Final = ("support", "support lead", "finance", "on-call")
"""A login for each; migrations made the roles."""


class Command(BaseCommand):
    """Run again, it finds its merchants and users, and gives them fresh keys and passwords.

    Each step is committed by itself. After a failure, run it again.
    """

    help = "Make the demo's merchants and logins; print their secrets as one JSON object."
    requires_system_checks = ()  # A third of the time until it runs; a deployment checks once.

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.PAYMENTS_ENVIRONMENT == "production":
            raise CommandError(
                "a demo's logins have no place in production: set PAYMENTS_ENVIRONMENT=development"
            )
        wanted = settings.SANDBOX_PSP_CREDENTIALS
        _seed_account(ACCOUNT, wanted)
        _seed_account(FURTHER_ACCOUNT, wanted | {"api_key": f"{wanted['api_key']}_2"})
        merchants = [_merchant(name, fee) for name, fee in MERCHANTS]
        _seed_rules()
        people = [(role.replace(" ", "-"), role) for role in ROLES]
        logins = [_login(SUPERUSER), *(_login(name, role=role) for name, role in people)]
        _run("staff", "superuser", SUPERUSER)
        _seed_limit()
        self.stdout.write(json.dumps({"merchants": merchants, "logins": logins}))


def _seed_account(code: str, wanted: dict[str, str]) -> None:
    """Make an account at the sandbox PSP, or give it the credentials of this start."""
    account = PspAccount.objects.filter(code=code).first()
    if account is None:
        create_psp_account(code=code, psp=ACCOUNT, livemode=False, author=AUTHOR, given=wanted)
        return
    try:
        is_known = open_credentials(account) == {k: v for k, v in wanted.items() if v}
    except BadCredentials:
        is_known = False
    if not is_known:
        change_psp_account(account, author=AUTHOR, given=wanted)


def _seed_rules() -> None:
    """Make the rules for the demo's merchants, and no other's; an operator's are left alone."""
    if RoutingRule.objects.filter(livemode=False).exists():
        return
    own = Merchant.objects.filter(name__in=dict(MERCHANTS), test_psp_account__code=ACCOUNT)
    wanted = [(merchant, rule) for merchant in own.order_by("id") for rule in RULES]
    for merchant, rule in wanted:
        name, conditions, account, further = rule
        add_rule(
            livemode=False,
            merchant=merchant,
            name=name,
            conditions=conditions,
            targets={"split": [{"account": account, "share": 100}], "fallback": [further]},
            author=AUTHOR,
        )


def _seed_limit() -> None:
    """Let support leads approve refunds."""
    set_limit(
        Group.objects.get(name="support lead"),
        author=AUTHOR,
        command=ApprovalCommand.REFUND_PAYMENT,
        currency=LEADS_LIMIT.currency,
        amount_max=LEADS_LIMIT,
    )


def _merchant(name: str, platform_fee_basis_points: int) -> dict[str, str]:
    """The merchant of this name, made if need be, with a fresh key in place of its last one."""
    found = [
        row["merchant"]
        for row in _run("merchant", "list")
        if (row["name"], row["test account"]) == (name, ACCOUNT)
    ]
    fee = ("--platform-fee-basis-points", str(platform_fee_basis_points))
    if not found:
        created = _run("merchant", "create", name, "--test-account", ACCOUNT, *fee)
        found = [created["merchant"]]
    _run("merchant", "set", found[0], "--refund-approval-limits", REFUND_LIMITS)
    for key in _run("api_key", "list", found[0]):
        if key["name"] == KEY_NAME and key["state"] == "valid":
            _run("api_key", "revoke", key["key"])
    issued = _run("api_key", "create", found[0], "--name", KEY_NAME)
    return {"name": name, "secret_key": issued["secret"]}


def _login(username: str, *, role: str = "") -> dict[str, str]:
    """The login of this name, made if need be, with one role and a fresh password.

    A new password ends the sessions of the last one.
    """
    roles = ("--role", role) if role else ()
    if username in {row["username"] for row in _run("staff", "list")}:
        _run("staff", "set", username, *roles)
        _run("staff", "enable", username)
        shown = _run("staff", "password", username)
    else:
        shown = _run("staff", "create", username, *roles)
    return {"role": role or username, "username": username, "password": shown["password"]}


def _run(*command: str) -> Any:
    """Run a command of the installation; what it shows."""
    shown = StringIO()
    call_command(*command, "--json", stdout=shown)
    return json.loads(shown.getvalue())
