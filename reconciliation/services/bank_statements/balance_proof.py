"""Compares the books of a bank account (1200) with the closing balance of its newest statement."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from django.db.models import Sum

from ledger import chart
from ledger.money import Money
from ledger.selectors import balance
from payments.services.verification.rebuild import one_snapshot
from reconciliation.models import BankAccount, BankLine
from reconciliation.services.bank_statements.sequence import Link, gaps_in, links_of


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceProof:
    """What the closing balance of an account is made of."""

    account: BankAccount
    closed_on: date
    closing: Money
    """Of the newest statement."""
    opening: Money
    """Of the oldest: from before our books."""
    booked: Money
    """The balance of 1200."""
    waiting: Money
    """Of lines that have booked nothing yet."""
    gaps: list[Link]
    """Statements before which others are missing."""

    @property
    def difference(self) -> Money:
        """What none of these explains; zero is the aim."""
        return self.closing - self.opening - self.booked - self.waiting

    @property
    def holds(self) -> bool:
        return not self.difference and not self.gaps


def prove(account: BankAccount) -> BalanceProof | None:
    """The proof of one account; None if it has no statement. Not inside a transaction."""
    with one_snapshot():
        links = links_of(account)
        if not links:
            return None
        oldest = min(links, key=lambda each: (each.opened_on, each.number or 0))
        waits = BankLine.objects.filter(
            bank_account=account, next_attempt_at__isnull=False, given_up_at__isnull=True
        )
        minor = waits.aggregate(total=Sum("amount_minor"))["total"] or 0
        return BalanceProof(
            account=account,
            closed_on=links[-1].closed_on,
            closing=Money(links[-1].closing_minor, account.currency),
            opening=Money(oldest.opening_minor, account.currency),
            booked=balance(chart.BANK.of(account.number, account.currency)),
            waiting=Money(minor, account.currency),
            gaps=gaps_in(links),
        )
