"""Compares each payout of a PSP with the lines that it pays out, as the PSP says which these are.

A payout is added up again when another line of it comes. A difference is a case BATCH_SUM_MISMATCH,
which closes itself once the lines add up. All lines of the payout count, matched or not.
"""

from __future__ import annotations

import logging
import time
from typing import Final

from django.db import transaction

from ledger.database.statements import execute, table_of
from payments.clock import now_utc
from payments.services.cases.closing import ClosingRule, close_by_rule
from payments.services.cases.opening import case_about_account, open_case
from payments.states import CaseKind
from psp_adapters.contract.settlement_reports import LineKind
from reconciliation.discrepancies import Discrepancy
from reconciliation.models import PayoutSum, SettlementLine
from reconciliation.services.expectations.watching import waits_for_a_report

logger = logging.getLogger(__name__)

PAYOUTS_MOST: Final = 1_000
"""Added up in one run."""
SECONDS: Final = 1.0
"""After which a run begins no other payout."""
# A payout that came back is no line that it paid out.
_SUMS: Final = (
    "SELECT count(*) FILTER (WHERE l.kind <> %s), "
    "coalesce(sum(l.gross_minor - l.fee_minor) FILTER (WHERE l.kind <> %s), 0), "
    "sum(l.fee_minor - l.gross_minor) FILTER (WHERE l.kind = %s) "
    f"FROM {table_of(SettlementLine)} l WHERE l.psp_account_id = %s AND l.psp_payout_id = %s "
    "AND l.psp_payout_id <> '' AND l.currency = %s AND l.kind <> %s"
)


def add_up_payouts() -> int:
    """Add up the payouts that have new lines; returns how many. Safe to repeat.

    Those of an account wait while a report of it is on its way, which may have their other lines.
    """
    end, count = time.monotonic() + SECONDS, 0
    due = PayoutSum.objects.filter(judged_at__isnull=True).select_related("psp_account")
    is_waiting: dict[object, bool] = {}
    for row in due.order_by("changed_at")[:PAYOUTS_MOST]:
        if time.monotonic() >= end:
            break
        if row.psp_account_id not in is_waiting:
            waits = waits_for_a_report(row.psp_account, now_utc())
            is_waiting[row.psp_account_id] = waits
        if not is_waiting[row.psp_account_id]:
            _add_up(row.pk)
            count += 1
    return count


def _add_up(key: int) -> None:
    with transaction.atomic(durable=True):
        # Locked first: a worker that takes further lines marks it after this, or was before it.
        rows = PayoutSum.objects.select_for_update(of=("self",)).select_related("psp_account")
        row = rows.get(pk=key)
        kind = LineKind.PAYOUT.value
        given = [row.psp_account_id, row.psp_payout_id, row.currency, LineKind.PAYOUT_REVERSAL]
        [(count, lines, paid)] = execute(_SUMS, [kind, kind, kind, *given])
        row.line_count, row.lines_minor = count, int(lines)
        row.paid_minor = None if paid is None else int(paid)
        row.judged_at = now_utc()
        row.save(update_fields=["line_count", "lines_minor", "paid_minor", "judged_at"])
        _follow(row)


def _follow(row: PayoutSum) -> None:
    """Open a case about a difference, or close it, in the caller's transaction."""
    account, difference = row.psp_account, row.difference
    if difference is None:
        return
    subject = f"payout {row} of {account.code}"[:128]
    if not difference:
        close_by_rule(
            ClosingRule.PAYOUT_ADDS_UP,
            account,
            CaseKind.CONTRADICTION,
            subject,
            resolution=f"{row.line_count} lines add up to the payout of {row.paid}.",
        )
        return
    summary = (
        f"{Discrepancy.BATCH_SUM_MISMATCH}: the payout {row} of {account.code} is {row.paid}, the "
        f"{row.line_count} lines in it are {row.lines} together: {difference} are not explained."
    )
    case = case_about_account(
        CaseKind.CONTRADICTION,
        account,
        summary,
        subject=subject,
        discrepancy=Discrepancy.BATCH_SUM_MISMATCH,
    )
    case.amount_minor, case.currency = abs(difference.minor), difference.currency
    if open_case(case):
        logger.error("alert: %s", case.summary)
