"""What a bank line books: a payout that it is, or its amount in suspense until it is explained."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from ledger import bank_rules as rules
from ledger import chart
from ledger.money import Money
from ledger.posting_rules import Parties, Posting, Rule, reversal_of
from ledger.selectors import changes_by_rule
from ledger.services import post
from reconciliation.models import BankLine, SettlementLine

_BySign = tuple[Rule, Rule]
"""The rule for a credit of the bank, and for a debit."""
_PAYOUT: Final[_BySign] = (rules.payout_on_bank, rules.payout_returned_by_bank)
_SUSPENSE: Final[_BySign] = (rules.unidentified_receipt, rules.unidentified_payment)


def source_of(line_id: int) -> UUID:
    """The id under which the books know a bank line."""
    return UUID(int=line_id)


def book_payout(line: BankLine, payout: SettlementLine) -> None:
    """Book the line as that payout in the caller's transaction, and reverse it in suspense."""
    _clear_suspense(line)
    _post(line, _posting(line, _PAYOUT, psp_account=payout.psp_account.code))


def book_to_suspense(line: BankLine) -> None:
    """Book the line to suspense, in the caller's transaction; once for each line."""
    if not _transactions_in_suspense(line):
        _post(line, _suspense_of(line))


def transactions_of(line: BankLine) -> list[UUID]:
    """Every ledger transaction of the line, in the order of their rules' names."""
    booked = changes_by_rule(
        code=chart.BANK.code, source_type=rules.SOURCE, source_id=source_of(line.pk)
    )
    return [booked[rule].transaction_id for rule in sorted(booked)]


def _clear_suspense(line: BankLine) -> None:
    for transaction_id in _transactions_in_suspense(line):
        _post(line, reversal_of(_suspense_of(line), reverses=transaction_id))


def _transactions_in_suspense(line: BankLine) -> list[UUID]:
    if line.given_up_at is None:
        return []
    booked = changes_by_rule(
        code=chart.BANK.code, source_type=rules.SOURCE, source_id=source_of(line.pk)
    )
    return [booked[rule.name].transaction_id for rule in _SUSPENSE if rule.name in booked]


def _suspense_of(line: BankLine) -> Posting:
    """Suspense of the bank account itself: which PSP sent the money is not known."""
    return _posting(line, _SUSPENSE, psp_account=line.bank_account.number)


def _posting(line: BankLine, by_sign: _BySign, *, psp_account: str) -> Posting:
    receipt, payment = by_sign
    parties = Parties(psp_account=psp_account, merchant="", bank_account=line.bank_account.number)
    rule = receipt if line.amount_minor > 0 else payment
    return rule(parties, Money(abs(line.amount_minor), line.currency))


def _post(line: BankLine, posting: Posting) -> None:
    """Booked on the day on which the bank booked it."""
    post(
        [posting],
        source_type=rules.SOURCE,
        source_id=source_of(line.pk),
        payment_id=None,
        merchant_id=None,
        effective_date=line.booked_on,
    )
