"""Finds payouts that no bank line explains in time, and keeps a case for each."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

from django.db import transaction

from ledger.database.statements import execute
from payments.clock import now_utc
from payments.models import Case
from payments.services.cases.closing import ClosingRule, close_by_rule
from payments.services.cases.opening import case_about_bank, open_case
from payments.states import CaseKind, CaseStatus
from reconciliation.discrepancies import Discrepancy
from reconciliation.models import SettlementLine

PAYOUT_NOT_ON_BANK: Final = Discrepancy.PAYOUT_NOT_ON_BANK.value
BUSINESS_DAYS: Final = 5
"""From the PSP's payout to the bank's booking: Monday to Friday, without holidays."""
MISSING_MOST: Final = 1_000
_SATURDAY: Final = 5
# A payout that came back before it reached the bank is on no statement, nor is its return.
_MISSING: Final = f"""
    SELECT l.id
      FROM reconciliation_bank_account b
      JOIN payments_psp_account p ON p.code = ANY (b.psp_accounts)
      JOIN reconciliation_settlement_line l ON l.psp_account_id = p.id AND l.currency = b.currency
     WHERE l.kind IN ('payout', 'payout_reversal') AND l.status = 'matched'
       AND l.gross_minor <> 0
       AND l.occurred_at >= b.payouts_since AND l.occurred_at < %s
       AND NOT EXISTS (SELECT FROM reconciliation_bank_line n WHERE n.payout_id = l.id)
       AND NOT EXISTS (
           SELECT FROM reconciliation_settlement_line r
            WHERE r.psp_account_id = l.psp_account_id AND r.psp_id = l.psp_id AND r.psp_id <> ''
              AND r.kind IN ('payout', 'payout_reversal') AND r.status = 'matched'
              AND r.currency = l.currency AND r.gross_minor = -l.gross_minor
              AND NOT EXISTS (SELECT FROM reconciliation_bank_line n WHERE n.payout_id = r.id))
     ORDER BY l.id LIMIT {MISSING_MOST}"""


def update_cases_of_missing_payouts() -> int:
    """Open a case for each payout that is missing, and close those of what came; how many miss.

    A case that an operator closed is not opened again.
    """
    due = first_day_in_time(now_utc().date())
    with transaction.atomic(durable=True):
        ids = [line_id for (line_id,) in execute(_MISSING, [due])]
        missing = {
            subject_of(line): line
            for line in SettlementLine.objects.filter(pk__in=ids).select_related("psp_account")
        }
        cases = Case.objects.filter(kind=CaseKind.BANK_DIFFERS.value)
        known = set(cases.filter(subject__in=list(missing)).values_list("subject", flat=True))
        for subject in sorted(missing.keys() - known):
            open_case(_case_of(missing[subject], subject))
        opened = cases.filter(status=CaseStatus.OPEN, subject__startswith=f"{PAYOUT_NOT_ON_BANK} ")
        over = [
            case for case in opened.select_related("psp_account") if case.subject not in missing
        ]
        for case in over if len(ids) < MISSING_MOST else ():
            resolution = "It is on a bank statement, or came back."
            close_by_rule(
                ClosingRule.PAYOUT_ON_BANK,
                case.psp_account,
                CaseKind.BANK_DIFFERS,
                case.subject,
                resolution=resolution,
            )
    return len(missing)


def first_day_in_time(today: date) -> date:
    """The first day of a payout that may still come: those before it are late."""
    day, left = today, BUSINESS_DAYS
    while left:
        day -= timedelta(days=1)
        left -= day.weekday() < _SATURDAY
    return day


def subject_of(payout: SettlementLine) -> str:
    """How its case names a payout that is missing."""
    name = payout.psp_id or payout.identity
    return f"{PAYOUT_NOT_ON_BANK} #{payout.pk} {name} ({payout.psp_account.code})"[:128]


def _case_of(payout: SettlementLine, subject: str) -> Case:
    account = payout.psp_account
    summary = (
        f"{PAYOUT_NOT_ON_BANK}: {account.code} reported the {payout.kind} "
        f"{payout.psp_id or payout.identity} of {payout.gross} on {payout.occurred_at:%Y-%m-%d}, "
        f"and no bank statement shows it within {BUSINESS_DAYS} business days."
    )
    return case_about_bank(
        subject,
        summary,
        discrepancy=PAYOUT_NOT_ON_BANK,
        livemode=account.livemode,
        psp_account_id=account.pk,
        amount=payout.gross,
    )
