"""`manage.py close_books`: closes days of the books; shows what is closed and what is open."""

from __future__ import annotations

import sys
from datetime import date, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ledger.exceptions import BooksDoNotBalance
from ledger.periods import closed_through
from payments.clock import now_utc
from payments.management.authors import add_author, named_author_of
from payments.services.verification.rebuild import one_snapshot
from reconciliation.models import BooksClose
from reconciliation.services.closing.books import close_books, close_differences, every_code
from reconciliation.services.closing.open_points import open_points
from reconciliation.services.closing.reopening import request_reopening


class Command(BaseCommand):
    help = (
        "Close days of the books: from then on no posting counts for them, and a late one counts "
        "for the next day. Without --through: show what is closed, and what is open today."
    )
    requires_system_checks = ()  # A third of the time until it runs; a deployment checks once.

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--through", type=date.fromisoformat, help="the last day to close (UTC): 2026-11-27"
        )
        parser.add_argument(
            "--account", action="append", default=[], help="only this PSP account, by code"
        )
        parser.add_argument(
            "--despite-open", action="store_true", help="although something is open; say --why"
        )
        parser.add_argument(
            "--before-its-end",
            action="store_true",
            help="today: what comes later today counts for tomorrow",
        )
        parser.add_argument(
            "--reopen-after",
            type=date.fromisoformat,
            help="ask a second person to open all days after this one again; say --why",
        )
        parser.add_argument(
            "--check", action="store_true", help="exit 1 if closed days are not what they were"
        )
        add_author(parser)

    def handle(self, *args: Any, **given: Any) -> None:
        if given["through"] is not None:
            self._close(given)
        elif given["reopen_after"] is not None:
            self._ask_to_reopen(given)
        else:
            self._show()
        if given["check"]:
            with one_snapshot():
                found = list(close_differences())
            for sentence in found:
                self.stdout.write(sentence)
            if found:
                sys.exit(1)
            self.stdout.write("closed days are what they were")

    def _close(self, given: dict[str, Any]) -> None:
        if given["despite_open"] and not given["why"].strip():
            raise CommandError("--despite-open needs --why")
        try:
            row = close_books(
                given["through"],
                author=named_author_of(given),
                codes=given["account"],
                despite_open_points=given["despite_open"],
                before_its_end=given["before_its_end"],
            )
        except (ValueError, BooksDoNotBalance) as refusal:
            raise CommandError(str(refusal)) from None
        if row is None:
            self.stdout.write(f"{given['through']} is closed already")
            return
        parts = ", ".join(code or "the bank" for code in row.psp_accounts)
        self.stdout.write(
            f"closed through {row.through}: {parts}; {row.accounts_count} accounts have a balance, "
            f"SHA-256 {row.balances_sha256}"
        )

    def _ask_to_reopen(self, given: dict[str, Any]) -> None:
        try:
            approval = request_reopening(
                given["reopen_after"], author=named_author_of(given), codes=given["account"]
            )
        except ValueError as refusal:
            raise CommandError(str(refusal)) from None
        self.stdout.write(
            f"{approval.public_id} waits for a second person: manage.py approvals approve "
            f"{approval.public_id} --by staff:… --why …"
        )

    def _show(self) -> None:
        yesterday = now_utc().date() - timedelta(days=1)
        for code in every_code():
            closed = closed_through(code)
            self.stdout.write(f"{code or 'the bank':24} closed through {closed or 'no day'}")
            for point in open_points(code, yesterday):
                self.stdout.write(f"  open at the end of {yesterday}: {point}")
        for row in BooksClose.objects.order_by("-closed_at")[:10]:
            self.stdout.write(
                f"{row.closed_at:%Y-%m-%d %H:%M:%S} {row.author} {row}"
                f"{f': {row.reason}' if row.reason else ''}"
            )
