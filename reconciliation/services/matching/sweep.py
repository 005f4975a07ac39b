"""Matches settlement lines that are due, and books what they report.

A line of a dispute is matched to the ledger transactions that it reports: they are booked already.
A line of a charge or refund is matched to its operation, and books its settlement and its fee. A
line of the account as a whole books what it says. A kind that the adapter does not know goes to an
operator, and its money to suspense. A fee that is not agreed is booked as it is, and finance told.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.db.models import F

from ledger.database.statements import execute, table_of
from ledger.money import Money
from payments.clock import now_utc
from payments.models import Case, Operation, PaymentIntent
from payments.services.cases.closing import ClosingRule, close_by_rule
from payments.services.cases.opening import case_about_account, case_about_intent, open_case
from payments.services.jobs.backoff import next_attempt
from payments.services.jobs.due_queue import DueQueue, Handled, run_sweep
from payments.services.outcomes.availability import follow_settlement
from payments.services.psp_gateway.queries import Inconclusive
from payments.services.recovery.payment_sync import Conflict
from payments.states import CaseKind
from psp_adapters.contract.settlement_reports import ACCOUNT_LINES, DISPUTE_LINES, LineKind
from psp_adapters.contract.stored_text import clean_text
from reconciliation.discrepancies import Discrepancy
from reconciliation.models import SettlementLine, SettlementMatch
from reconciliation.services.matching.dispute_line_facts import LineConflict
from reconciliation.services.matching.dispute_lines import MatchedLine, match_dispute_line
from reconciliation.services.matching.line_bookings import (
    book_lines,
    book_to_suspense,
    clear_suspense,
    settled_by,
    to_book,
)
from reconciliation.services.matching.line_discrepancies import discrepancy_of
from reconciliation.services.matching.line_groups import group_of, is_whole
from reconciliation.services.matching.line_variances import note_variances
from reconciliation.services.matching.look_up_ceiling import (
    LookUpsSpent,
    time_to_wait_for,
    within_ceiling,
)
from reconciliation.services.matching.operation_lines import match_operation_line
from reconciliation.services.matching.part_lines import is_over, wake_given_up_parts
from reconciliation.services.matching.payment_lines import (
    captures_of_payment,
    match_payment_line,
    operations_of,
    write_shares,
)
from reconciliation.services.matching.payout_sums import add_up_payouts
from reconciliation.services.matching.recorded_operations import (
    known_lines,
    waiting_lines,
    wake_other_parts,
)
from reconciliation.services.matching.variance_cases import tell_variances
from reconciliation.services.run_report import Ended, count_lines
from reconciliation.states import LineStatus

logger = logging.getLogger(__name__)

ACTOR: Final = "psp:settlement_report"
SWEEP_LIMIT: Final = 50_000
SWEEP_SECONDS: Final = 5.0
LINES_AT_ONCE: Final = 1_000
"""Matched without the PSP in one transaction; what is left of them is matched under one lease."""
_END: Final = (
    f"UPDATE {table_of(SettlementLine)} l SET status = '{LineStatus.MATCHED}', accounted_at = %s, "
    "attempts = attempts + %s, next_attempt_at = NULL, last_error = '', discrepancy = '', "
    "operation_id = g.operation_id, dispute_id = g.dispute_id "
    "FROM unnest(%s::bigint[], %s::uuid[], %s::uuid[]) AS g (id, operation_id, dispute_id) "
    "WHERE l.id = g.id"
)
_WAIT: Final = (
    f"UPDATE {table_of(SettlementLine)} l SET status = '{LineStatus.FAILING}', "
    "attempts = attempts + 1, last_error = g.error, discrepancy = g.discrepancy, "
    "next_attempt_at = g.next_attempt_at "
    "FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::timestamptz[]) "
    "AS g (id, error, discrepancy, next_attempt_at) WHERE l.id = g.id"
)
# Each row of a batch is looked up by an index: a plan that was made for small tables stays in a
# session, and would read them from end to end for each line.
_BY_INDEX: Final = "SELECT " + ", ".join(
    f"set_config('enable_{each}', 'off', true)" for each in ("seqscan", "hashjoin", "mergejoin")
)
_OF_DISPUTES: Final = ", ".join(f"'{kind.value}'" for kind in sorted(DISPUTE_LINES))
QUEUE: Final = DueQueue(
    # Lines of one report share both.
    SettlementLine.objects.prefetch_related("report", "psp_account"),
    due="next_attempt_at",
    lease=timedelta(seconds=60),
    attempts="attempts",
    account="psp_account_id",
    first=f"kind IN ({_OF_DISPUTES})",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempt:
    """How one attempt to match a line ended."""

    matched: MatchedLine | None = None
    """For a line of a dispute."""
    operation: Operation | None = None
    """For a line of a charge or refund."""
    is_of_payment: bool = False
    """The line names a payment, and has shares of captures of it."""
    is_of_account: bool = False
    """A line of the account as a whole, which is what it says."""
    error: str = ""
    discrepancy: Discrepancy | None = None
    """Of an error, its code."""
    is_hopeless: bool = False
    """Another attempt cannot succeed."""
    is_unanswered: bool = False
    """The PSP gave no answer; that says nothing about the line."""
    intent: PaymentIntent | None = None
    """The payment that a hopeless line is about, where that is known."""


def name_of(line: SettlementLine) -> str:
    """How people find a line."""
    return f"{line.report.name} line {line.number} #{line.pk} ({line.psp_account.code})"[-128:]


def match_due_lines(*, limit: int = SWEEP_LIMIT) -> int:
    """Match the lines that are due, those of disputes first; returns how many were taken.

    Bounded in number and time. Safe to repeat, and several workers may run it at once.
    """
    taken = run_sweep(
        QUEUE,
        _match_and_record,
        most=limit,
        seconds=SWEEP_SECONDS,
        size=LINES_AT_ONCE,
        end_some=_end_without_psp,
    )
    tell_variances()
    add_up_payouts()
    return taken


def _end_without_psp(line_ids: list[int]) -> list[int]:
    """Match or let wait those of these locked lines that need no PSP for it; returns the others.

    Nearly all lines of a report report what is recorded just as they say.
    """
    now = now_utc()
    execute(_BY_INDEX)
    matched = _match_known(line_ids, now)
    others = [each for each in line_ids if each not in matched]
    waiting = _leave_for_later(others, now) if others else frozenset()
    return [each for each in others if each not in waiting]


def _match_known(line_ids: list[int], now: datetime) -> Collection[int]:
    known = known_lines(line_ids)
    book_lines(each.line for each in known)
    note_variances([(each.line, each.operation_id) for each in known], now)
    matched = {each.line.id: each.operation_id for each in known}
    if matched:
        none = [None] * len(matched)
        execute(_END, [now, 1, list(matched), list(matched.values()), none])
        wake_other_parts([each.line.id for each in known if each.is_part], now)
        follow_settlement([settled_by(line, key) for line, key, _ in known if key is not None])
        count_lines(Ended.MATCHED, len(matched))
    return matched


def _leave_for_later(line_ids: list[int], now: datetime) -> Collection[int]:
    """Those that are given up by now are left: each of them is a case."""
    waiting = {
        line.id: line
        for line in waiting_lines(line_ids)
        if not is_over(line, line.discrepancy, now, attempts=line.attempts + 1)
    }
    if waiting:
        lines = list(waiting.values())
        columns = [
            list(waiting),
            [clean_text(line.error, most=500) for line in lines],
            [line.discrepancy.value for line in lines],
            [next_attempt(now, since=line.retrying_since) for line in lines],
        ]
        execute(_WAIT, columns)
        count_lines(Ended.LEFT, len(waiting))
    return waiting


def _match_and_record(line: SettlementLine) -> Handled:
    try:
        with within_ceiling(line.psp_account):
            attempt = _attempt(line)
    except LookUpsSpent:
        _let_wait(line)
        return Handled.NOT_ASKED
    try:
        _record(line, attempt)
    except Exception as failure:
        # Another worker was first with the same money, or PostgreSQL refused the match.
        logger.exception("%s could not be matched", name_of(line))
        _record(line, _failed(line, failure))
    return Handled.NO_ANSWER if attempt.is_unanswered else Handled.ANSWERED


def _let_wait(line: SettlementLine) -> None:
    """It was not attempted, so its lease does not count as an attempt."""
    count_lines(Ended.OVER_CEILING)
    due = time_to_wait_for(line.psp_account)
    waiting = QUEUE.under_lease(line)
    waiting.update(next_attempt_at=due, attempts=F("attempts") - 1)


def _attempt(line: SettlementLine) -> _Attempt:
    """Raises LookUpsSpent; any other failure is an attempt."""
    try:
        return _match(line)
    except LookUpsSpent:
        raise
    except (LineConflict, Conflict, Inconclusive) as reason:
        return _Attempt(
            error=str(reason),
            discrepancy=discrepancy_of(line, reason),
            is_hopeless=not isinstance(reason, Inconclusive),
            is_unanswered=isinstance(reason, Inconclusive) and reason.is_unanswered,
            intent=reason.intent if isinstance(reason, LineConflict) else None,
        )
    except Exception as failure:
        logger.exception("%s could not be matched", name_of(line))
        return _failed(line, failure)


def _failed(line: SettlementLine, failure: Exception) -> _Attempt:
    """What failed is our software, or PostgreSQL refused it."""
    error = f"{type(failure).__name__}: {failure}"
    return _Attempt(error=error, discrepancy=discrepancy_of(line, failure))


def _match(line: SettlementLine) -> _Attempt:
    account, reported = line.psp_account, line.reported
    if reported.kind is LineKind.UNKNOWN:
        why = f"no rule knows a line {reported.psp_type}"
        raise LineConflict(why, code=Discrepancy.UNKNOWN_LINE_TYPE)
    if reported.kind in ACCOUNT_LINES:
        return _Attempt(is_of_account=True)
    if reported.kind in DISPUTE_LINES:
        matched = match_dispute_line(account=account, line=reported, actor=ACTOR)
        return _Attempt(matched=matched)
    if captures := captures_of_payment(line):
        shares = match_payment_line(line, captures, actor=ACTOR)
        return _Attempt(operation=shares[0].capture, is_of_payment=True)
    found = match_operation_line(account=account, line=reported, group=group_of(line), actor=ACTOR)
    return _Attempt(operation=found)


def _record(leased: SettlementLine, attempt: _Attempt) -> None:
    """Write how an attempt ended, unless the lease has passed or the line is due again."""
    with transaction.atomic(durable=True):
        line = QUEUE.still_mine(leased)
        if line is None:
            return
        now = now_utc()
        if attempt.is_of_payment:
            _book_shares(line, now)
        elif attempt.operation is not None or attempt.is_of_account:
            _book(line, attempt.operation, now)
        elif attempt.matched is not None:
            _record_match(line, attempt.matched, now)
        else:
            _record_failure(line, attempt, now)


def _book(line: SettlementLine, operation: Operation | None, now: datetime) -> None:
    """Book a line, and match it: one of a charge or refund to its operation, one of the account
    to nothing, for it is what it says."""
    _settle_what_was_given_up(line)
    booked = to_book(line, payment_id=operation.intent_id if operation else None)
    book_lines([booked])
    note_variances([(booked, operation.id if operation else None)], now)
    line.match()
    line.operation_id = operation.id if operation else None
    _end(line, now)
    if operation is not None and not is_whole(line, operation):
        wake_other_parts([line.pk], now)
    follow_settlement([settled_by(booked, key) for key in operations_of(line)])


def _book_shares(line: SettlementLine, now: datetime) -> None:
    capture = write_shares(line)
    if isinstance(capture, Operation):
        _book(line, capture, now)
        return
    line.discrepancy = capture
    _leave(line, until=now)
    line.save(update_fields=["status", "next_attempt_at", "discrepancy"])


def _settle_what_was_given_up(line: SettlementLine) -> None:
    if line.retrying_since > line.stored_at:  # It was given up once, and requeued.
        clear_suspense(line)
        close_by_rule(
            ClosingRule.LINE_MATCHED,
            line.psp_account,
            CaseKind.CONTRADICTION,
            name_of(line),
            resolution="The line was requeued, and matches.",
        )


def _record_match(line: SettlementLine, matched: MatchedLine, now: datetime) -> None:
    """Match the line to its transactions, unless another line has: then the PSP reports twice."""
    claimed = SettlementMatch.objects.filter(transaction_id__in=matched.transaction_ids)
    other = claimed.exclude(line=line).select_related("line__report", "line__psp_account").first()
    if other is not None:
        error = f"{name_of(other.line)} has reported the same money already"
        twice = _Attempt(error=error, discrepancy=Discrepancy.DUPLICATE_AT_PSP, is_hopeless=True)
        _record_failure(line, twice, now)
        return
    _settle_what_was_given_up(line)
    SettlementMatch.objects.bulk_create(
        SettlementMatch(line=line, transaction_id=transaction_id, matched_at=now)
        for transaction_id in matched.transaction_ids
    )
    line.match()
    line.dispute_id = matched.dispute_id
    _end(line, now)


def _end(line: SettlementLine, now: datetime) -> None:
    """Write that a line is matched: it is locked, and its lease counted the attempt."""
    execute(_END, [now, 0, [line.pk], [line.operation_id], [line.dispute_id]])
    count_lines(Ended.MATCHED)


def _record_failure(line: SettlementLine, attempt: _Attempt, now: datetime) -> None:
    assert attempt.discrepancy is not None, "a failure has a code"
    line.last_error, line.discrepancy = clean_text(attempt.error, most=500), attempt.discrepancy
    is_late = is_over(line, attempt.discrepancy, now, attempts=line.attempts)
    if wake_given_up_parts(line, now):
        _leave(line, until=now)
    elif attempt.is_hopeless or (is_late and not attempt.is_unanswered):
        line.next_attempt_at = None
        line.dead_letter()
        count_lines(Ended.GIVEN_UP)
        book_to_suspense(line)
        open_case(_case_of(line, attempt.intent))
        logger.error("alert: %s is given up: %s", name_of(line), line.last_error)
    else:
        _leave(line, until=next_attempt(now, since=line.retrying_since))
    line.save(update_fields=["status", "last_error", "discrepancy", "next_attempt_at"])


def _leave(line: SettlementLine, *, until: datetime) -> None:
    count_lines(Ended.LEFT)
    line.next_attempt_at = until
    if line.status != LineStatus.FAILING:
        line.fail()


def _case_of(line: SettlementLine, intent: PaymentIntent | None) -> Case:
    named = name_of(line)
    summary = (
        f"{named} of a settlement report ({line.psp_type}, {line.net}, "
        f"{line.psp_id or line.identity} at the provider) is not explained: {line.last_error}."
    )
    at_stake = Money(abs(line.net.minor), line.currency)
    if intent is not None:
        case = case_about_intent(
            CaseKind.CONTRADICTION, intent, summary, subject=named, amount=at_stake
        )
    else:
        case = case_about_account(CaseKind.CONTRADICTION, line.psp_account, summary, subject=named)
        case.amount_minor, case.currency = at_stake.minor, at_stake.currency
    case.discrepancy = line.discrepancy
    return case


def locked_line(line_id: int) -> SettlementLine:
    """The line, locked, with what names it."""
    lines = SettlementLine.objects.select_for_update(of=("self",))
    return lines.select_related("report", "psp_account").get(pk=line_id)
