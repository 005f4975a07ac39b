"""`manage.py play_demo_day`: plays a business day through the merchant API, then reconciles it."""

from __future__ import annotations

import json
import logging
import sys
import time
import uuid
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import stripe
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from ledger.chart import PAYOUT_IN_TRANSIT
from ledger.money import Money
from ledger.selectors import balances
from payments.clock import now_utc
from payments.demo import breaks
from payments.demo.reckoning import Reckoning, orders_of_no_shop, reckon
from payments.demo.scenes import NORTHWIND, TAILSPIN, Scene
from payments.demo.shop import Shop, WentWrong
from payments.demo.web import SandboxPsp, visit
from payments.models import PspAccount
from payments.services.psp_gateway.credentials import open_credentials
from psp_adapters.sandbox.webhook import account_of

_SETTLED: Final = {
    1110: "the PSP holds",
    1120: "on its way to the bank",
    1200: "the bank holds",
    5100: "its own fees",
    5110: "interchange",
    5120: "scheme fees",
    1990: "not explained",
    1100: "still to settle",
    2200: "refunds to settle",
}
"""Accounts of the books, with what their balance is."""
_SANDBOX: Final = "sandbox"
_ACCOUNTANT: Final = "staff:finance"
"""A login of the demo (`seed_demo`)."""
DEMO_FILE = settings.BASE_DIR / "var" / "demo.json"
EXPORTS = settings.BASE_DIR / "var" / "exports"


class Command(BaseCommand):
    """Needs the platform running (`make serve`). Can be repeated: each run has its own orders."""

    help = (
        "Play one business day through the official stripe SDK against the running API. Exit 1 if "
        "anything is unexplained, still processing, or the books do not balance."
    )
    requires_system_checks = ()  # A third of the time until it runs; a deployment checks once.

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--base-url", help="the API (default: from var/demo.json)")
        parser.add_argument("--sandbox-psp-url", help="the sandbox PSP (default: likewise)")
        parser.add_argument(
            "--key", action="append", help="a merchant's secret key; twice for two merchants"
        )
        parser.add_argument(
            "--no-browser", action="store_true", help="the customer pays without a browser"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        started = time.monotonic()
        # The SDK logs every request; the output of the scenes is enough.
        logging.getLogger("stripe").setLevel(logging.WARNING)
        shops = _shops(options)
        try:
            since = len(shops[0].psp.effects_after(0))
        except OSError as error:
            raise CommandError(f"the sandbox PSP's control API does not answer: {error}") from None
        shops[0].psp.charge_fees()
        self._say("one business day through the merchant API")
        failed = sum(
            not self._play(shop, scene)
            for shop, scenes in zip(shops, (NORTHWIND, TAILSPIN), strict=True)
            for scene in scenes
        )
        self._say("  …  evening: waiting for open payments, comparing with the PSP")
        try:
            settled = self._settles(shops[0].psp) and self._reaches_the_bank(shops[0].psp)
            figures = reckon(shops)
            figures.unexplained += orders_of_no_shop(shops, since=since)
            self._show_balances(shops)
            self._show_settlement()
        except (stripe.StripeError, OSError) as error:
            raise CommandError(f"the day could not be reconciled: {_text_of(error)}") from None
        balanced = self._books_balance()
        self._summarize(figures, balanced=balanced, seconds=time.monotonic() - started)
        if failed or figures.unexplained or not balanced or not settled:
            sys.exit(1)
        self._close_the_day()
        if not self._exports():
            sys.exit(1)

    def _play(self, shop: Shop, scene: Scene) -> bool:
        try:
            summary = scene(shop)
        except (WentWrong, stripe.StripeError, OSError) as error:
            self._say(f"  !! {shop.name}: {scene.__name__}: {_text_of(error)}")
            return False
        self._say(f"  ok {shop.name}: {summary}")
        return True

    def _settles(self, psp: SandboxPsp) -> bool:
        """Import the PSP's settlement reports; returns False if a line is not explained."""
        keys = [_api_key_of(account) for account in _accounts()]
        breaks.repeat_lines_in_overlapping_files(psp, keys)
        count = sum(made["lines"] for made in psp.close_settlement())
        self._say(f"  …  the PSP closes its settlement report of {count} lines")
        self._say("     and sends it in files that overlap, with a line twice: each counts once")
        self._say(
            f"  …  it pays out {psp.pay_out()} balances, and reports that in files that are cut"
        )
        breaks.cut_files(psp, keys)
        ours = {account_of(key): key for key in keys}
        made = psp.close_settlement()
        cut = [(ours[each["account"]], each["name"]) for each in made if each["account"] in ours]
        if not breaks.work_cases_of_cut_files(psp, keys, cut, self._say):
            return False
        try:
            call_command(
                "settlement_reports",
                fetch=True,
                check=True,
                wait=30,
                most=1,
                stdout=self.stdout,
            )
        except SystemExit as end:
            return not end.code
        return True

    def _reaches_the_bank(self, psp: SandboxPsp) -> bool:
        """Import the bank's statements; returns False if not every payout is on them."""
        accounts = _accounts()
        codes = [account.code for account in accounts]
        statements = psp.bank_statements([_api_key_of(account) for account in accounts])
        self._say(f"  …  the bank sends {len(statements)} statements of what the PSP paid out")
        with TemporaryDirectory() as folder:
            for each in statements:
                path = Path(folder) / each["name"]
                path.write_text(each["body"])
                call_command(
                    "bank_statements",
                    add=each["account"],
                    currency=each["currency"],
                    paid_by=codes,
                    file=str(path),
                    by=_ACCOUNTANT,
                    stdout=StringIO(),  # The check says it all again.
                )
        try:
            call_command("bank_statements", check=True, most=1, stdout=self.stdout)
        except SystemExit as end:
            return not end.code
        return not any(balances(codes=[PAYOUT_IN_TRANSIT.code]).values())

    def _books_balance(self) -> bool:
        try:
            call_command("verify_ledger", stdout=self.stdout, stderr=self.stderr)
        except SystemExit as end:
            return not end.code
        return True

    def _close_the_day(self) -> None:
        """What comes later today counts for tomorrow; another run of the day can follow."""
        call_command(
            "close_books",
            through=now_utc().date(),
            before_its_end=True,
            despite_open=True,
            by=_ACCOUNTANT,
            why="The demo ends its day; its open cases are there to be looked at.",
            stdout=self.stdout,
        )

    def _exports(self) -> bool:
        """Write each export of the day; returns False if one is not what its manifest says."""
        now = now_utc()
        folder = EXPORTS / f"{now:%Y-%m-%d_%H%M%S}"
        folder.mkdir(parents=True)
        call_command("export", "all", on=now.date(), out=str(folder), stdout=StringIO())
        files = sorted(folder.glob("*.csv"))
        for file in files:
            try:
                call_command("export", "check", str(file), stdout=StringIO())
            except SystemExit:
                self._say(f"  !! {file} is not what its manifest says")
                return False
        self._say(f"  …  finance gets {len(files)} files, each as its manifest says: {folder}")
        return True

    def _show_balances(self, shops: list[Shop]) -> None:
        for shop in shops:
            balance: Any = shop.client.v1.balance.retrieve()
            self._say(f"     {shop.name}: balance pending {_amounts(balance.pending)}")
            self._say(f"     {shop.name}: balance available {_amounts(balance.available)}")

    def _show_settlement(self) -> None:
        """What PSPs hold and charged by their reports, and what they have not settled yet."""
        found = balances(codes=_SETTLED)
        for place in sorted({(ref.dimension, ref.currency) for ref in found}):
            amounts = {r.code: m for r, m in found.items() if (r.dimension, r.currency) == place}
            parts = (
                f"{what} {amounts[code]}" for code, what in _SETTLED.items() if code in amounts
            )
            self._say(f"     {place[0]}: {', '.join(parts)}")
        call_command("settlement_reports", remainder=True, stdout=self.stdout)

    def _summarize(self, figures: Reckoning, *, balanced: bool, seconds: float) -> None:
        self._say()
        self._say(f"the day in {seconds:.0f} s:")
        self._say(f"  {figures.payments} payments, {figures.refunds} refunds")
        for line in figures.volumes():
            self._say(f"  {line}")
        self._say(f"  books balance: {'yes' if balanced else 'no'}")
        self._say(f"  unexplained: {len(figures.unexplained)}")
        for line in figures.unexplained:
            self._say(f"     {line}")

    def _say(self, line: str = "") -> None:
        self.stdout.write(line)
        self.stdout.flush()


def _accounts() -> list[PspAccount]:
    return list(PspAccount.objects.filter(psp=_SANDBOX, livemode=False).order_by("code"))


def _api_key_of(account: PspAccount) -> str:
    return str(open_credentials(account)["api_key"])


def _amounts(balances: list[Any]) -> str:
    amounts = [Money(each.amount, each.currency.upper()) for each in balances if each.amount]
    return ", ".join(map(str, amounts)) or "nothing"


def _shops(options: dict[str, Any]) -> list[Shop]:
    """Two shops, from the command line or from the launcher's file."""
    try:
        facts = json.loads(DEMO_FILE.read_text())
    except FileNotFoundError:
        facts = {}
    base_url = options["base_url"] or facts.get("base_url")
    psp_url = options["sandbox_psp_url"] or facts.get("sandbox_psp_url")
    keys = [("merchant", key) for key in options["key"] or ()] or [
        (merchant["name"], merchant["secret_key"]) for merchant in facts.get("merchants", ())
    ]
    if not (base_url and psp_url and keys):
        raise CommandError(
            "nothing is running here: `make serve` first, or pass --base-url, --sandbox-psp-url "
            "and --key"
        )
    try:
        visit("GET", f"{base_url}/healthz")
    except OSError as error:
        raise CommandError(f"the API does not answer at {base_url}: {error}") from None
    psp, day = SandboxPsp(psp_url), f"day-{uuid.uuid4().hex[:8]}"
    return [
        Shop.open(
            name=name,
            secret_key=secret_key,
            base_url=base_url,
            psp=psp,
            day=f"{day}-{number}",
            has_browsers=not options["no_browser"],
        )
        for number, (name, secret_key) in enumerate((keys[0], keys[-1]), start=1)
    ]


def _text_of(error: Exception) -> str:
    """The message in one line, without the SDK's request id."""
    text = getattr(error, "user_message", None) or str(error) or type(error).__name__
    return " ".join(text.split())
