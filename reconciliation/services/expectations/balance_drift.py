"""Compares what each PSP says that it holds for us with the books, as of the moment of its answer.

While money moves, both differ by what no report has named yet. So a PSP is asked once a day, and
its answer is judged once everything that moved before is due in a report: by then 1110, without
what moved later, must be what it said. A difference is a case BALANCE_DRIFT.
"""

from __future__ import annotations

import logging
import random
import time
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Final

from django.db import transaction

from ledger import chart
from ledger.database.statements import execute
from ledger.money import Money
from ledger.selectors import accounts_of
from payments.clock import now_utc
from payments.models import Case, PspAccount
from payments.services.cases.closing import ClosingRule, close_by_rule
from payments.services.cases.opening import case_about_account, open_case
from payments.services.psp_gateway.circuit_breaker import CallRefused
from payments.services.psp_gateway.terms import settlement_calendar_of
from payments.states import CaseKind, CaseStatus
from psp_adapters.contract.operations import PspUnavailable
from psp_adapters.contract.settlement_reports import DISPUTE_LINES
from psp_adapters.registry import BadCredentials
from reconciliation.discrepancies import Discrepancy
from reconciliation.models import SettlementLine, StatedBalance
from reconciliation.services.expectations.remainder import remainders_of, stated_balances
from reconciliation.services.expectations.watching import subject_of_reports, waits_for_a_report
from reconciliation.states import LineStatus

logger = logging.getLogger(__name__)

SWEEP_SECONDS: Final = 5.0
ASK_EVERY: Final = timedelta(days=1)
CLOCKS_DIFFER_BY: Final = timedelta(minutes=1)
"""The PSP's clock and ours, and how long its answer takes: what moved then may be in it or not."""

# What moved at the PSP after a moment, by its reports; and disputes that no report has named yet.
_MOVED_AFTER: Final = """
    WITH moved AS (
        SELECT l.occurred_at AS at, l.currency, l.gross_minor - l.fee_minor AS minor
          FROM reconciliation_settlement_report r
          JOIN reconciliation_settlement_line l ON l.report_id = r.id
         WHERE r.psp_account_id = %s AND r.received_at > %s AND l.occurred_at > %s
           AND (l.status <> 'dead' OR EXISTS (
                SELECT FROM ledger_transaction t WHERE t.source_type = 'settlement_line'
                   AND t.source_id = lpad(to_hex(l.id), 32, '0')::uuid))
         UNION ALL
        SELECT t.posted_at, e.currency,
               CASE e.direction WHEN 'D' THEN e.amount_minor ELSE -e.amount_minor END
          FROM payments_dispute d
          JOIN ledger_transaction t ON t.source_type = 'dispute' AND t.source_id = d.id
          JOIN ledger_entry e ON e.transaction_id = t.id
          JOIN ledger_account a ON a.id = e.account_id AND a.code = 1110
         WHERE d.psp_account_id = %s AND t.posted_at > %s AND NOT EXISTS (
               SELECT FROM reconciliation_settlement_match m WHERE m.transaction_id = t.id))
    SELECT currency, sum(minor)::bigint,
           coalesce(array_agg(minor ORDER BY at) FILTER (WHERE at <= %s), '{}')
      FROM moved GROUP BY currency"""


def watch_balances(*, now: datetime | None = None) -> int:
    """Judge what PSPs said, and ask those again that were not asked for a day; returns how many
    balances were judged.

    Bounded in time; a further run goes on. Safe to repeat. What is wrong with one account delays no
    other.
    """
    moment, end = now or now_utc(), time.monotonic() + SWEEP_SECONDS
    accounts = list(PspAccount.objects.exclude(sealed_credentials=""))
    random.shuffle(accounts)  # Those that do not answer are not always first.
    judged = 0
    for account in accounts:
        if time.monotonic() >= end:
            break
        try:
            judged += _watch(account, moment)
        except (PspUnavailable, CallRefused, BadCredentials) as reason:
            logger.warning("%s did not state its balance: %s", account.code, reason)
        except Exception:
            logger.exception("alert: the balance of %s could not be watched", account.code)
    return judged


def _watch(account: PspAccount, now: datetime) -> int:
    calendar = settlement_calendar_of(account)
    if not calendar.watched:
        return 0
    stated = StatedBalance.objects.filter(psp_account=account)
    moved_before = calendar.due(now).moved_before - CLOCKS_DIFFER_BY
    due = list(stated.filter(judged_at__isnull=True, stated_at__lt=moved_before).order_by("id"))
    judged = 0
    if due and not _is_being_reported(account, now):
        judged = _judge(account, due)
    if not stated.filter(stated_at__gt=now - ASK_EVERY).exists():
        _ask(account)
    return judged


def _ask(account: PspAccount) -> None:
    """Store what the PSP says that it holds, of each currency that it or the books name."""
    balances = stated_balances(account)
    if balances is None:
        return
    booked = accounts_of(codes=[chart.PSP_BALANCE.code], dimension=account.code)
    now = now_utc()
    StatedBalance.objects.bulk_create(
        StatedBalance(
            psp_account=account,
            currency=currency,
            stated_minor=balances[currency].minor if currency in balances else 0,
            stated_at=now,
        )
        for currency in sorted({*balances, *(each.currency for each in booked)})
    )


def _is_being_reported(account: PspAccount, now: datetime) -> bool:
    """Whether a report, or a line of one, is still on its way; or its absence is a case already."""
    lines = SettlementLine.objects.filter(psp_account=account, next_attempt_at__isnull=False)
    # The dispute of a line that waits may be in the books already: then both count.
    of_disputes = [kind.value for kind in DISPUTE_LINES]
    if lines.filter(status=LineStatus.OPEN).exists() or lines.filter(kind__in=of_disputes).exists():
        return True
    case = {"kind": CaseKind.NOT_SETTLED.value, "status": CaseStatus.OPEN.value}
    is_gap = Case.objects.filter(subject=subject_of_reports(account), **case).exists()
    return is_gap or waits_for_a_report(account, now)


def _judge(account: PspAccount, due: list[StatedBalance]) -> int:
    present = {each.currency: each for each in remainders_of(account, ask_psp=False)}
    for row in due:
        zero = Money.zero(row.currency)
        found = present.get(row.currency)
        in_books = zero
        if found is not None:
            in_books = sum(found.breaks.values(), found.explained)
        row.books_minor = _books_of_then(account, row, in_books.minor)
        row.judged_at = now_utc()
        with transaction.atomic(durable=True):
            _follow(account, row)
            row.save(update_fields=["books_minor", "judged_at"])
    return len(due)


def _books_of_then(account: PspAccount, row: StatedBalance, present_minor: int) -> int:
    """The balance of our books at the moment of the answer: of the moments around it, the one that
    is nearest to what the PSP said."""
    since, until = row.stated_at - CLOCKS_DIFFER_BY, row.stated_at + CLOCKS_DIFFER_BY
    # What a report said before the answer was in it, whatever the PSP's clock says.
    given = [account.pk, row.stated_at, since, account.pk, since, until]
    moved = {currency: rest for currency, *rest in execute(_MOVED_AFTER, given)}
    after, meanwhile = moved.get(row.currency, (0, []))
    before = present_minor - int(after)
    balances = accumulate((int(each) for each in meanwhile), initial=before)
    return min(balances, key=lambda minor: abs(minor - row.stated_minor))


def _subject(account: PspAccount, currency: str) -> str:
    return f"balance {currency} of {account.code}"


def _follow(account: PspAccount, row: StatedBalance) -> None:
    """Open a case about a drift, or close it, in the caller's transaction."""
    drift = row.drift
    assert drift is not None, "it was judged"
    subject = _subject(account, row.currency)
    if not drift:
        close_by_rule(
            ClosingRule.BALANCE_AGREES,
            account,
            CaseKind.CONTRADICTION,
            subject,
            resolution=f"{row.stated_at:%Y-%m-%d %H:%M} UTC the PSP states {row.stated}, as we do.",
        )
        return
    if drift == _accepted_drift(account, row.currency, subject):
        return
    summary = (
        f"{Discrepancy.BALANCE_DRIFT}: on {row.stated_at:%Y-%m-%d %H:%M} UTC {account.code} stated "
        f"to hold {row.stated}; by its reports and our books it was {row.books}. {drift} are not "
        "explained."
    )
    case = case_about_account(
        CaseKind.CONTRADICTION,
        account,
        summary,
        subject=subject,
        discrepancy=Discrepancy.BALANCE_DRIFT,
    )
    case.amount_minor, case.currency = abs(drift.minor), drift.currency
    if open_case(case):
        logger.error("alert: %s", case.summary)


def _accepted_drift(account: PspAccount, currency: str, subject: str) -> Money | None:
    """The drift that was known when an operator closed the newest case about it."""
    case = Case.objects.filter(kind=CaseKind.CONTRADICTION.value, subject=subject).last()
    if case is None or case.closed_at is None or case.closed_by.startswith("rule:"):
        return None
    judged = StatedBalance.objects.filter(psp_account=account, currency=currency)
    known = judged.filter(judged_at__lte=case.closed_at).order_by("judged_at", "stated_at").last()
    return None if known is None else known.drift
