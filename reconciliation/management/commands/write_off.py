"""`manage.py write_off`: lists what is in suspense, and asks a second person to write it off."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ledger.money import Money
from payments import public_ids
from payments.exceptions import PaymentRefused
from payments.management.authors import add_author, named_author_of
from reconciliation.services.remediation.write_offs import cases_in_suspense, request_write_off


class Command(BaseCommand):
    help = (
        "List the open cases of settlement lines in suspense, or ask a second person to write the "
        "amount of one off. `approvals show` has the posting; approving it closes the case."
    )
    requires_system_checks = ()  # A third of the time until it runs; a deployment checks once.

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("case", nargs="?", default="", help="case_…")
        add_author(parser)

    def handle(self, *args: Any, **given: Any) -> None:
        if not given["case"]:
            self._list()
            return
        case_id = public_ids.decode(public_ids.CASE, given["case"])
        if case_id is None:
            raise CommandError(f"no such case: {given['case']}")
        try:
            approval = request_write_off(case_id, author=named_author_of(given))
        except (PaymentRefused, ValueError) as refusal:
            raise CommandError(str(refusal)) from None
        self.stdout.write(
            f"{approval.public_id} waits for a second person: manage.py approvals approve "
            f"{approval.public_id} --by staff:… --why …"
        )

    def _list(self) -> None:
        """Each with its amount, oldest first; then the net by currency."""
        found = cases_in_suspense()
        sums: dict[str, Money] = {}
        for case, amount in found:
            self.stdout.write(f"{case.public_id} {amount} since {case.opened_at:%Y-%m-%d}")
            self.stdout.write(f"  {case.summary}")
            sums[amount.currency] = sums.get(amount.currency, Money.zero(amount.currency)) + amount
        for currency in sorted(sums):
            self.stdout.write(f"together {sums[currency]}")
        self.stdout.write(f"{len(found)} cases of settlement lines in suspense")
