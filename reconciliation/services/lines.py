"""Account for the lines of settlement reports: each tells what we know, or is a reason to look.

A line's own row is the queue; several workers may run at once. A line of a dispute is matched to
the ledger transactions that it is; one of a charge or refund is known by its operation, for the
settlement itself is not booked. A kind that nobody knows is for a person. What may not live here:
what a line causes (payments.services does), reading files.
"""

from __future__ import annotations

import logging
import random
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import transaction

from ledger.statements import execute, table_of
from payments.services.cases import case_about_account, open_case
from payments.services.dispute_lines import AccountedLine, account_for_dispute_line
from payments.services.events import now_utc
from payments.services.looks import Contradicted, NotYetKnown
from payments.services.operation_lines import account_for_operation_line
from payments.services.silence import Silence
from payments.states import CaseKind
from psp_adapters.report_contract import DISPUTE_LINES, LineKind
from reconciliation.models import SettlementLine, SettlementMatch
from reconciliation.services.reading import GIVE_UP_AFTER
from reconciliation.states import LINE_WAITING, LineStatus

logger = logging.getLogger(__name__)

ACTOR: Final = "psp:settlement_report"
SWEEP_LIMIT: Final = 1_000
SWEEP_SECONDS: Final = 5.0
LEASE_SECONDS: Final = 60.0
"""How long one worker has for what it took; then another may take it."""
_RETRY_FIRST_SECONDS: Final = 10.0
_RETRY_MOST_SECONDS: Final = 3600.0


@dataclass(frozen=True, slots=True)
class _Try:
    line: SettlementLine
    """As it was leased."""
    accounted: AccountedLine | None = None
    """Of a dispute."""
    operation_id: UUID | None = None
    """Of a charge or refund."""
    error: str = ""
    gives_up: bool = False
    """A person must look; trying again is of no use."""
    has_case: bool = False


def name_of(line: SettlementLine) -> str:
    """How people find a line."""
    return f"{line.report.name} line {line.number} ({line.psp_account.code})"[-128:]


def account_for_due_lines(*, limit: int = SWEEP_LIMIT) -> int:
    """Account for the lines that are due; returns how many it looked at.

    Bounded in number and time, safe to run again, safe to run several at once (SKIP LOCKED, and a
    lease each). An account that gives no answer twice in a row is left alone for the rest of it.
    """
    silence = Silence()
    end = time.monotonic() + SWEEP_SECONDS
    done = 0
    while done < limit and time.monotonic() < end:
        line = _lease_next(silence.accounts)
        if line is None:
            break
        done += 1
        _conclude(_look(line, silence))
    return done


def look_again(*, account_code: str = "", report_name: str = "") -> int:
    """Have lines that were given up looked at again; returns how many."""
    rows = SettlementLine.objects.filter(status=LineStatus.DEAD)
    if account_code:
        rows = rows.filter(psp_account__code=account_code)
    if report_name:
        rows = rows.filter(report__name=report_name)
    count = 0
    for line_id in list(rows.order_by("id").values_list("id", flat=True)):
        count += _revive(line_id)
    return count


def _lease_next(silent: list[UUID]) -> SettlementLine | None:
    """The line that has waited longest, but for those of silent accounts."""
    table = table_of(SettlementLine)
    with transaction.atomic(durable=True):
        rows = execute(
            f"UPDATE {table} SET attempts = attempts + 1, "
            "next_try_at = now() + make_interval(secs => %s) "
            f"WHERE id = (SELECT id FROM {table} WHERE next_try_at <= now() "
            "AND psp_account_id <> ALL(%s) "
            "ORDER BY next_try_at, id LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id",
            [LEASE_SECONDS, silent],
        )
    if not rows:
        return None
    lines = SettlementLine.objects.select_related("report", "psp_account").defer("report__body")
    return lines.get(pk=rows[0][0])


def _look(line: SettlementLine, silence: Silence) -> _Try:
    """Look, and say how it ended."""
    answered = True
    try:
        if line.kind == LineKind.UNKNOWN:
            return _Try(line, error=f"no rule knows a line {line.psp_type}", gives_up=True)
        return _account_for(line)
    except Contradicted as contradiction:
        return _Try(line, error=str(contradiction), gives_up=True, has_case=True)
    except NotYetKnown as reason:
        answered = not reason.is_silence
        return _Try(line, error=str(reason))
    except Exception as failure:
        logger.exception("%s could not be accounted for", name_of(line))
        return _Try(line, error=f"{type(failure).__name__}: {failure}")
    finally:
        silence.note(line.psp_account_id, answered=answered)


def _account_for(line: SettlementLine) -> _Try:
    account, told, named = line.psp_account, line.told, name_of(line)
    if told.kind in DISPUTE_LINES:
        accounted = account_for_dispute_line(account=account, line=told, named=named, actor=ACTOR)
        return _Try(line, accounted=accounted)
    found = account_for_operation_line(account=account, line=told, named=named, actor=ACTOR)
    return _Try(line, operation_id=found)


def _conclude(tried: _Try) -> None:
    """Write how a try ended, unless the lease has passed to somebody else meanwhile."""
    with transaction.atomic(durable=True):
        line = _locked(tried.line.pk)
        if line.attempts != tried.line.attempts or line.status not in LINE_WAITING:
            return
        now = now_utc()
        if tried.operation_id is not None:
            line.know()
            line.operation_id = tried.operation_id
            _end(line, now)
            return
        if tried.accounted is None:
            _put_off_or_bury(line, tried, now)
            return
        claimed = _claimed_by_another(line, tried.accounted)
        if claimed is None:
            _match(line, tried.accounted, now)
            return
        error = f"{name_of(claimed)} has told of the same money already"
        _put_off_or_bury(line, _Try(line, error=error, gives_up=True), now)


def _match(line: SettlementLine, accounted: AccountedLine, now: datetime) -> None:
    SettlementMatch.objects.bulk_create(
        SettlementMatch(line=line, transaction_id=transaction_id, matched_at=now)
        for transaction_id in accounted.transaction_ids
    )
    line.match()
    line.dispute_id = accounted.dispute_id
    _end(line, now)


def _end(line: SettlementLine, now: datetime) -> None:
    line.accounted_at, line.next_try_at, line.last_error = now, None, ""
    line.save(
        update_fields=[
            "status",
            "dispute_id",
            "operation_id",
            "accounted_at",
            "next_try_at",
            "last_error",
        ]
    )


def _claimed_by_another(line: SettlementLine, accounted: AccountedLine) -> SettlementLine | None:
    """The line that is one of these transactions already: the PSP tells of one thing twice."""
    matches = SettlementMatch.objects.filter(transaction_id__in=accounted.transaction_ids)
    match = matches.exclude(line=line).select_related("line__report", "line__psp_account").first()
    return match.line if match is not None else None


def _put_off_or_bury(line: SettlementLine, tried: _Try, now: datetime) -> None:
    line.last_error = tried.error[:500]
    if tried.gives_up or now >= line.give_up_at:
        line.next_try_at = None
        line.bury()
        if not tried.has_case:
            _open_case(line)
        logger.error("alert: %s is given up: %s", name_of(line), line.last_error)
    else:
        line.next_try_at = _next_try(line, now)
        if line.status != LineStatus.FAILING:
            line.fail()
    line.save(update_fields=["status", "last_error", "next_try_at"])


def _open_case(line: SettlementLine) -> None:
    named = name_of(line)
    summary = (
        f"{named} ({line.psp_type}, {line.net}, {line.psp_id or line.identity} at the provider) "
        f"is nothing that we know of: {line.last_error}."
    )
    case = case_about_account(CaseKind.CONTRADICTION, line.psp_account, summary, subject=named)
    case.amount_minor, case.currency = abs(line.net.minor), line.currency
    open_case(case)


def _next_try(line: SettlementLine, now: datetime) -> datetime:
    """Later and later: after half of the time that has been tried for, with ±50 % jitter."""
    tried_seconds = (now - (line.give_up_at - GIVE_UP_AFTER)).total_seconds()
    step = min(max(tried_seconds / 2, _RETRY_FIRST_SECONDS), _RETRY_MOST_SECONDS)
    return now + timedelta(seconds=step * random.uniform(0.5, 1.5))


def _revive(line_id: int) -> bool:
    with transaction.atomic(durable=True):
        line = _locked(line_id)
        if line.status != LineStatus.DEAD:
            return False
        now = now_utc()
        line.revive()
        line.next_try_at, line.give_up_at = now, now + GIVE_UP_AFTER
        line.save(update_fields=["status", "next_try_at", "give_up_at"])
    return True


def _locked(line_id: int) -> SettlementLine:
    lines = SettlementLine.objects.select_for_update(of=("self",))
    return lines.select_related("report", "psp_account").defer("report__body").get(pk=line_id)
