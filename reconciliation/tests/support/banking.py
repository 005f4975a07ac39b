"""Our bank in tests: an account that a shop's PSP pays out to, and its statements. No tests."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

from ledger.chart import BANK, PAYOUT_IN_TRANSIT, PSP_SUSPENSE
from ledger.selectors import balance
from payments.models import Case
from payments.states import CaseKind
from payments.tests.support.dispute_desk import LONG_AGO
from payments.tests.support.factories import TESTS
from reconciliation.models import BankAccount, BankLine
from reconciliation.services.bank_statements.accounts import add_bank_account
from reconciliation.services.bank_statements.storing import StoredFile, store_statements
from reconciliation.services.bank_statements.sweep import match_due_bank_lines
from reconciliation.services.matching.sweep import match_due_lines
from reconciliation.tests.support.settling import Settling

IBAN: Final = "DE89370400440532013000"
FIRST_DAY: Final = date(2026, 3, 1)
"""Of the payouts in plain reports."""

BANK_ENTRY = tuple[str, str]
"""The amount as the bank writes it, negative for a debit, and the text."""


@dataclass
class Banking:
    """One bank account of a shop."""

    settling: Settling

    def open(self, *, currency: str = "USD", number: str = IBAN) -> BankAccount:
        code = self.settling.shop.account.code
        return add_bank_account(
            number=number,
            currency=currency,
            psp_accounts=[code],
            payouts_since=FIRST_DAY,
            author=TESTS,
        )

    def report(self, *rows: str) -> None:
        """The PSP reports these lines, and they are matched."""
        self.settling.read("\n".join(rows).encode(), f"{rows[0]}.csv")
        match_due_lines()

    def import_(self, body: bytes, name: str = "march.xml") -> StoredFile:
        return store_statements(name=name, body=body, imported_by="staff:ada")

    def match(self) -> dict[int, BankLine]:
        """Match everything that is due; the lines by amount."""
        match_due_bank_lines()
        return {line.amount_minor: line for line in BankLine.objects.order_by("id")}

    def give_up(self) -> None:
        """Let the days pass in which the PSP's report may still come."""
        long_ago = {"retrying_since": LONG_AGO, "next_attempt_at": LONG_AGO, "attempts": 9}
        BankLine.objects.filter(next_attempt_at__isnull=False).update(**long_ago)
        match_due_bank_lines()

    def booked(self) -> tuple[int, int, int]:
        """Debits minus credits of the bank, of payouts in transit, and of the bank's suspense."""
        code = self.settling.shop.account.code
        accounts = (BANK.of(IBAN, "USD"), PAYOUT_IN_TRANSIT.of(code, "USD"))
        suspense = PSP_SUSPENSE.of(IBAN, "USD")
        bank, transit, unknown = (balance(each).minor for each in (*accounts, suspense))
        return bank, transit, unknown


def open_cases() -> list[str]:
    """The code with which the summary of each open case about the bank begins."""
    rows = Case.objects.filter(kind=CaseKind.BANK_DIFFERS.value, status="open").order_by("id")
    assert all(case.summary.startswith(f"{case.discrepancy}: ") for case in rows)
    return [case.discrepancy for case in rows]


def camt(
    *entries: BANK_ENTRY,
    opening: str = "0",
    closing: str,
    number: int | None = 1,
    day: str = "2026-03-02",
    account: str = IBAN,
    currency: str = "USD",
) -> bytes:
    """A statement of one day in camt.053."""
    sequence = f"<ElctrncSeqNb>{number}</ElctrncSeqNb>" if number is not None else ""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.02"><BkToCstmrStmt>\n'
        f"<Stmt><Id>S{number}-{day}</Id>{sequence}"
        f"<Acct><Id><IBAN>{account}</IBAN></Id></Acct>\n"
        f"{_balance('OPBD', opening, day, currency)}{_balance('CLBD', closing, day, currency)}"
        f"{''.join(_entry(*each, day, currency) for each in entries)}"
        "</Stmt></BkToCstmrStmt></Document>\n"
    ).encode()


def _balance(code: str, amount: str, day: str, currency: str) -> str:
    kind = f"<Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp>"
    return f"<Bal>{kind}{_amount(amount, currency)}<Dt><Dt>{day}</Dt></Dt></Bal>\n"


def _entry(amount: str, text: str, day: str, currency: str) -> str:
    details = f"<TxDtls><RmtInf><Ustrd>{text}</Ustrd></RmtInf></TxDtls>"
    return (
        f"<Ntry>{_amount(amount, currency)}<Sts>BOOK</Sts><BookgDt><Dt>{day}</Dt></BookgDt>"
        f"<NtryDtls>{details}</NtryDtls></Ntry>\n"
    )


def _amount(amount: str, currency: str) -> str:
    side = "DBIT" if amount.startswith("-") else "CRDT"
    return f'<Amt Ccy="{currency}">{amount.lstrip("-")}</Amt><CdtDbtInd>{side}</CdtDbtInd>'
