"""`manage.py bank_statements`: bank accounts, their statements, payouts to them."""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Count, QuerySet

from ledger.exceptions import LedgerError
from payments.clock import now_utc
from payments.management.authors import add_author, author_of, named_author_of
from payments.models import Act, Case
from payments.services.audit.trail import AuditSubject, recorded
from payments.states import CaseKind, CaseStatus
from reconciliation.models import BankAccount, BankLine, BankStatement
from reconciliation.services.bank_statements.accounts import add_bank_account
from reconciliation.services.bank_statements.balance_proof import BalanceProof, prove
from reconciliation.services.bank_statements.contents import StatementUnreadable, normalized_number
from reconciliation.services.bank_statements.storing import BODY_BYTES_MAX, import_statements
from reconciliation.services.bank_statements.sweep import (
    match_due_bank_lines,
    name_of,
    requeue_lines,
)
from reconciliation.services.run_report import reported
from reconciliation.states import LINE_WAITING, LineStatus


class Command(BaseCommand):
    help = (
        "List bank statements, add a bank account, or import a file of statements (camt.053 or "
        "MT940) and match its lines to payouts. Doing any of it again is harmless: a statement is "
        "stored once, and a line counts once."
    )
    requires_system_checks = ()  # A third of the time until it runs; a deployment checks once.

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--add", default="", metavar="NUMBER", help="add this account (IBAN)")
        parser.add_argument("--currency", default="", help="of the account that is added")
        parser.add_argument(
            "--paid-by", action="append", default=[], help="a PSP account that pays out to it"
        )
        parser.add_argument(
            "--since", default="", help="expect payouts of this day and later (default: today)"
        )
        parser.add_argument("--import", dest="file", default="", help="take in this file")
        parser.add_argument("--name", default="", help="its name (default: the file's own)")
        add_author(parser)
        parser.add_argument("--account", default="", help="only this bank account")
        parser.add_argument("--requeue", action="store_true", help="lines given up once more")
        parser.add_argument("--lines", action="store_true", help="list lines that are not matched")
        parser.add_argument(
            "--check",
            action="store_true",
            help="exit 1 unless lines are matched, balances proven, and cases closed",
        )
        parser.add_argument("--most", type=int, default=50, help="list at most so many")

    def handle(self, *args: Any, **given: Any) -> None:
        if given["add"]:
            self._add(given)
        number = normalized_number(given["account"])
        if number and not BankAccount.objects.filter(number=number).exists():
            raise CommandError(f"no bank account {number}")
        if given["most"] < 1:
            raise CommandError("--most is 1 at least")
        if given["file"]:
            self._import(given)
        if given["requeue"]:
            self._requeue(number, given)
        if given["file"] or given["requeue"] or given["check"]:
            self.stdout.write(f"lines attempted: {reported(match_due_bank_lines)}")
        if given["lines"]:
            self._list_lines(number, given["most"])
        else:
            self._list_statements(number, given["most"])
        if not self._prove(number) and given["check"]:
            sys.exit(1)

    def _add(self, given: dict[str, Any]) -> None:
        try:
            account = add_bank_account(
                number=given["add"],
                currency=given["currency"],
                author=author_of(given),
                psp_accounts=given["paid_by"],
                payouts_since=date.fromisoformat(given["since"])
                if given["since"]
                else now_utc().date(),
            )
        except (ValueError, LedgerError) as error:
            raise CommandError(str(error)) from error
        payers = ", ".join(account.psp_accounts)
        self.stdout.write(f"{account} is paid by {payers} since {account.payouts_since}")

    def _requeue(self, number: str, given: dict[str, Any]) -> None:
        about = AuditSubject(label=number or "all bank accounts")
        try:
            author = named_author_of(given)
        except ValueError as refusal:
            raise CommandError(str(refusal)) from None
        with recorded(Act.BANK_LINES_REQUEUE, author, about) as changes:
            count = requeue_lines(account_number=number)
            changes["lines"] = {"after": count}
        self.stdout.write(f"{count} lines are requeued")

    def _import(self, given: dict[str, Any]) -> None:
        path = Path(given["file"])
        try:
            if path.stat().st_size > BODY_BYTES_MAX:
                raise CommandError(f"a file of bank statements has {BODY_BYTES_MAX} bytes at most")
            stored = import_statements(
                name=given["name"] or path.name,
                body=path.read_bytes(),
                author=named_author_of(given),
            )
        except (OSError, ValueError, StatementUnreadable) as error:
            raise CommandError(f"nothing was stored: {error}") from error
        name = stored.file.name
        self.stdout.write(
            f"{name} is stored: {stored.lines_new} new lines"
            if stored.is_new
            else f"{name} is here already"
        )

    def _list_statements(self, number: str, most: int) -> None:
        rows = _of(BankStatement.objects.select_related("bank_account", "file"), number)
        found = list(rows.order_by("-closed_on", "-stored_at").defer("file__body")[:most])
        for each in found:
            counts = each.lines.values("status").annotate(count=Count("id")).order_by("status")
            states = ", ".join(f"{row['count']} {row['status']}" for row in counts)
            self.stdout.write(
                f"{each.opened_on} to {each.closed_on} {each.bank_account.number} "
                f"{each.reference}: {each.opening} to {each.closing}, {len(each.identities)} lines "
                f"({states or 'none'} new), {each.file.name}"
            )
        self.stdout.write(f"{rows.count()} bank statements")

    def _list_lines(self, number: str, most: int) -> None:
        rows = _of(BankLine.objects.select_related("statement", "bank_account"), number)
        unexplained = rows.exclude(status=LineStatus.MATCHED)
        for line in unexplained.order_by("id")[:most]:
            self.stdout.write(
                f"{line.booked_on} {name_of(line)} {line.status}: {line.amount}, "
                f"{line.discrepancy or 'not attempted'} {line.last_error}".rstrip()
            )
        self.stdout.write(f"{unexplained.count()} lines are not matched")

    def _prove(self, number: str) -> bool:
        """Print the proof of each account's balance, and what is open; whether all is well."""
        accounts = BankAccount.objects.order_by("number")
        proofs = [prove(each) for each in (accounts.filter(number=number) if number else accounts)]
        for proof in proofs:
            if proof is not None:
                self.stdout.write(_proof_in_words(proof))
        reasons = _unexplained(number)
        for reason in reasons:
            self.stdout.write(reason)
        return not reasons and all(proof is None or proof.holds for proof in proofs)


def _of(rows: QuerySet[Any], number: str) -> QuerySet[Any]:
    return rows.filter(bank_account__number=number) if number else rows


def _proof_in_words(proof: BalanceProof) -> str:
    parts = [f"1200 bank {proof.booked}"]
    if proof.opening:
        parts.append(f"before our books {proof.opening}")
    if proof.waiting:
        parts.append(f"lines not booked yet {proof.waiting}")
    gaps = "".join(f"; a statement is missing before {gap.reference}" for gap in proof.gaps)
    verdict = f"difference {proof.difference}" if proof.difference else "proven"
    return (
        f"{proof.account.number} closes {proof.closed_on} with {proof.closing}: "
        f"{' + '.join(parts)}, {verdict}{gaps}"
    )


def _unexplained(number: str) -> list[str]:
    """Each reason why not all is well. What is given up counts until its case is closed."""
    waiting = _of(BankLine.objects.filter(status__in=sorted(LINE_WAITING)), number).count()
    cases = Case.objects.filter(kind=CaseKind.BANK_DIFFERS.value, status=CaseStatus.OPEN)
    figures = {"bank lines wait": waiting, "cases about the bank are open": cases.count()}
    return [f"{count} {what}" for what, count in figures.items() if count]
