"""Matches bank lines that are due to payouts, and books them."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction

from ledger.database.statements import execute
from ledger.money import Money
from payments.clock import now_utc
from payments.models import Case
from payments.services.cases.closing import ClosingRule, close_by_rule
from payments.services.cases.opening import case_about_bank, open_case
from payments.services.jobs.backoff import is_time_to_give_up, next_attempt
from payments.services.jobs.due_queue import DueQueue, Handled, run_sweep
from payments.states import CaseKind
from psp_adapters.contract.stored_text import clean_text
from reconciliation.discrepancies import Discrepancy
from reconciliation.models import BankLine, SettlementLine
from reconciliation.services.bank_statements.bookings import book_payout, book_to_suspense
from reconciliation.services.bank_statements.missing_payouts import (
    subject_of,
    update_cases_of_missing_payouts,
)
from reconciliation.services.bank_statements.payouts import Found, payout_of
from reconciliation.services.run_report import Ended, count_lines
from reconciliation.states import LineStatus

logger = logging.getLogger(__name__)

SWEEP_LIMIT: Final = 1_000
SWEEP_SECONDS: Final = 5.0
LINES_AT_ONCE: Final = 100
"""Taken under one lease, and matched one by one."""
QUEUE: Final = DueQueue(
    BankLine.objects.select_related("statement", "bank_account"),
    due="next_attempt_at",
    lease=timedelta(seconds=60),
    attempts="attempts",
)
# A minute is more than clocks of workers differ, and than a match that was being recorded takes.
_EXPLICABLE: Final = """
    SELECT n.id FROM reconciliation_bank_line n
      JOIN reconciliation_bank_account b ON b.id = n.bank_account_id
     WHERE n.status = 'dead' AND EXISTS (
           SELECT FROM reconciliation_settlement_line l
             JOIN payments_psp_account p ON p.id = l.psp_account_id
            WHERE l.kind IN ('payout', 'payout_reversal') AND l.status = 'matched'
              AND p.code = ANY (b.psp_accounts) AND l.currency = n.currency
              AND l.gross_minor = -n.amount_minor
              AND l.accounted_at > n.given_up_at - interval '1 minute')
     ORDER BY n.id LIMIT %s"""


def name_of(line: BankLine) -> str:
    """How people find a bank line."""
    return f"bank line #{line.pk} {line.statement.reference} ({line.bank_account.number})"[:128]


def match_due_bank_lines(*, limit: int = SWEEP_LIMIT) -> int:
    """Match the lines that are due; returns how many were taken. Then look for missing payouts.

    A line that was given up is due again once a payout of its amount was booked. Bounded in number
    and time. Safe to repeat, and several workers may run it at once.
    """
    for (line_id,) in execute(_EXPLICABLE, [limit]):
        _requeue(line_id, begins_again=False)
    taken = run_sweep(
        QUEUE, _match_and_record, most=limit, seconds=SWEEP_SECONDS, size=LINES_AT_ONCE
    )
    update_cases_of_missing_payouts()
    return taken


def requeue_lines(*, account_number: str = "") -> int:
    """Requeue the lines that were given up, for some days again; returns how many."""
    rows = BankLine.objects.filter(status=LineStatus.DEAD)
    if account_number:
        rows = rows.filter(bank_account__number=account_number)
    ids = list(rows.order_by("id").values_list("id", flat=True))
    return sum(_requeue(line_id, begins_again=True) for line_id in ids)


def _requeue(line_id: int, *, begins_again: bool) -> bool:
    with transaction.atomic(durable=True):
        line = BankLine.objects.select_for_update().get(pk=line_id)
        if line.status != LineStatus.DEAD:
            return False
        now = now_utc()
        line.requeue()
        line.next_attempt_at = now
        if begins_again:
            line.attempts, line.retrying_since = 0, now
        line.save(update_fields=["status", "attempts", "next_attempt_at", "retrying_since"])
    return True


def _match_and_record(line: BankLine) -> Handled:
    try:
        _record(line, payout_of(line))
    except Exception as failure:
        # Another line was first with the same payout, or PostgreSQL refused the match.
        logger.exception("%s could not be matched", name_of(line))
        why = f"{type(failure).__name__}: {failure}"
        _record(line, Found(discrepancy=Discrepancy.ATTEMPT_FAILED, why=why))
    return Handled.NOT_ASKED


def _record(leased: BankLine, found: Found) -> None:
    """Write how an attempt ended, unless the lease has passed or the line is due again."""
    with transaction.atomic(durable=True):
        line = QUEUE.still_mine(leased)
        if line is None:
            return
        now = now_utc()
        if found.payout is None:
            _record_failure(line, found, now)
            return
        book_payout(line, found.payout)
        line.match()
        line.payout, line.named_by, line.matched_at = found.payout, found.named_by, now
        line.next_attempt_at, line.discrepancy, line.last_error = None, "", ""
        line.save(
            update_fields=[
                *("status", "payout", "named_by", "matched_at", "next_attempt_at"),
                *("discrepancy", "last_error"),
            ]
        )
        count_lines(Ended.MATCHED)
        _close_cases(line, found.payout)


def _close_cases(line: BankLine, payout: SettlementLine) -> None:
    closed = {
        ClosingRule.BANK_LINE_MATCHED: name_of(line),
        ClosingRule.PAYOUT_ON_BANK: subject_of(payout),
    }
    for rule, subject in closed.items():
        resolution = "The bank line is the payout."
        close_by_rule(
            rule, payout.psp_account, CaseKind.BANK_DIFFERS, subject, resolution=resolution
        )


def _record_failure(line: BankLine, found: Found, now: datetime) -> None:
    line.discrepancy = found.discrepancy or ""
    line.last_error = clean_text(found.why, most=500)
    is_late = is_time_to_give_up(now, since=line.retrying_since, attempts=line.attempts)
    if found.is_final or is_late:
        book_to_suspense(line)
        line.next_attempt_at, line.given_up_at = None, now
        line.dead_letter()
        count_lines(Ended.GIVEN_UP)
        open_case(_case_of(line))
        logger.error("alert: %s is given up: %s", name_of(line), line.last_error)
    else:
        count_lines(Ended.LEFT)
        line.next_attempt_at = next_attempt(now, since=line.retrying_since)
        if line.status != LineStatus.FAILING:
            line.fail()
    line.save(
        update_fields=["status", "discrepancy", "last_error", "next_attempt_at", "given_up_at"]
    )


def _case_of(line: BankLine) -> Case:
    summary = (
        f"{line.discrepancy}: {name_of(line)} of {line.amount}, booked "
        f"{line.booked_on}, is not explained: {line.last_error}."
    )
    return case_about_bank(
        name_of(line),
        summary,
        discrepancy=line.discrepancy,
        livemode=line.bank_account.livemode,
        amount=Money(abs(line.amount_minor), line.currency),
    )
