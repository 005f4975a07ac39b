"""`manage.py verify_ledger`: checks the ledger's invariants, and payments, settlement lines and
bank lines against it."""

from __future__ import annotations

import sys
from itertools import chain, islice
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from ledger.seal_verification import seal_differences
from payments.models import PaymentIntent
from payments.services.verification.rebuild import differences, one_snapshot
from reconciliation.services.bank_statements.verification import bank_line_differences
from reconciliation.services.closing.books import close_differences
from reconciliation.services.verification import line_differences


class Command(BaseCommand):
    help = (
        "Check every invariant of the ledger, and rebuild amounts and status of every payment from "
        "its entries. Compare what settlement lines and bank lines booked, and every row that is "
        "sealed with its block of the hash chain. Exit 1 and list what differs."
    )
    requires_system_checks = ()  # A third of the time until it runs; a deployment checks once.

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--most", type=int, default=100, help="stop after this many differences (default 100)"
        )

    def handle(self, *args: Any, most: int, **options: Any) -> None:
        with one_snapshot():
            checks = (
                differences(),
                line_differences(),
                bank_line_differences(),
                seal_differences(),
                close_differences(),
            )
            found = list(islice(chain(*checks), most))
        for difference in found:
            self.stdout.write(difference)
        if found:
            more = " or more" if len(found) == most else ""
            self.stderr.write(f"the books do not hold: {len(found)}{more} differences")
            sys.exit(1)
        self.stdout.write(f"the books hold: {PaymentIntent.objects.count()} payments agree")
