"""Account for the lines of settlement reports: each tells what we know, or is a reason to look.

A line's own row is the queue; several workers may run at once. A line of a dispute is matched to
the ledger transactions that it is; one of a charge or refund is known by its operation, for the
settlement itself is not booked. A kind that nobody knows is for a person. What may not live here:
what a line causes (payments.services does), reading files.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import transaction

from ledger.database.statements import execute, table_of
from ledger.money import Money
from payments.clock import now_utc
from payments.models import Case, PaymentIntent
from payments.services.cases.opening import case_about_account, case_about_intent, open_case
from payments.services.jobs.backoff import is_over, next_try
from payments.services.psp_gateway.unresponsive_accounts import Silence
from payments.services.recovery.operation_sync import Contradicted, NotYetKnown
from payments.states import CaseKind
from psp_adapters.contract.settlement_reports import DISPUTE_LINES, LineKind
from reconciliation.models import SettlementLine, SettlementMatch
from reconciliation.services.matching.dispute_line_facts import LineContradicted
from reconciliation.services.matching.dispute_lines import AccountedLine, account_for_dispute_line
from reconciliation.services.matching.operation_lines import EFFECTS, account_for_operation_line
from reconciliation.states import LINE_WAITING, LineStatus

logger = logging.getLogger(__name__)

ACTOR: Final = "psp:settlement_report"
SWEEP_LIMIT: Final = 1_000
SWEEP_SECONDS: Final = 5.0
LEASE_SECONDS: Final = 60.0
"""How long one worker has for what it took; then another may take it."""
_REFUNDS: Final = frozenset({LineKind.REFUND, LineKind.REFUND_FAILURE})
_OF_DISPUTES: Final = ", ".join(f"'{kind.value}'" for kind in sorted(DISPUTE_LINES))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Try:
    line: SettlementLine
    """As it was leased."""
    accounted: AccountedLine | None = None
    """Of a dispute."""
    operation_id: UUID | None = None
    """Of a charge or refund."""
    error: str = ""
    is_hopeless: bool = False
    """Trying again is of no use."""
    is_silence: bool = False
    """The PSP gave no answer: that says nothing of the line."""
    intent: PaymentIntent | None = None
    """The payment that a hopeless one is about, where that is known."""


def name_of(line: SettlementLine) -> str:
    """How people find a line."""
    return f"{line.report.name} line {line.number} #{line.pk} ({line.psp_account.code})"[-128:]


def account_for_due_lines(*, limit: int = SWEEP_LIMIT) -> int:
    """Account for the lines that are due, those of disputes first; returns how many it looked at.

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
        tried = _look(line)
        silence.note(line.psp_account_id, answered=not tried.is_silence)
        try:
            _conclude(tried)
        except Exception as failure:
            # Another worker was first with the same money, or PostgreSQL refuses what we made.
            logger.exception("%s could not be accounted for", name_of(line))
            _conclude(_Try(line=line, error=f"{type(failure).__name__}: {failure}"))
    return done


def _lease_next(silent: list[UUID]) -> SettlementLine | None:
    """The line that has waited longest, but for those of silent accounts."""
    line_id = _lease(f"AND kind IN ({_OF_DISPUTES})", silent) or _lease("", silent)
    if line_id is None:
        return None
    return SettlementLine.objects.select_related("report", "psp_account").get(pk=line_id)


def _lease(only: str, silent: list[UUID]) -> int | None:
    table = table_of(SettlementLine)
    with transaction.atomic(durable=True):
        rows = execute(
            f"UPDATE {table} SET attempts = attempts + 1, "
            "next_try_at = now() + make_interval(secs => %s) "
            f"WHERE id = (SELECT id FROM {table} WHERE next_try_at <= now() {only} "
            "AND psp_account_id <> ALL(%s) "
            "ORDER BY next_try_at, id LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id",
            [LEASE_SECONDS, silent],
        )
    return rows[0][0] if rows else None


def _look(line: SettlementLine) -> _Try:
    """Look, and say how it ended."""
    try:
        return _account_for(line)
    except LineContradicted as contradiction:
        return _Try(
            line=line, error=str(contradiction), is_hopeless=True, intent=contradiction.intent
        )
    except Contradicted as contradiction:
        return _Try(line=line, error=str(contradiction), is_hopeless=True)
    except NotYetKnown as reason:
        return _Try(line=line, error=str(reason), is_silence=reason.is_silence)
    except Exception as failure:
        logger.exception("%s could not be accounted for", name_of(line))
        return _Try(line=line, error=f"{type(failure).__name__}: {failure}")


def _account_for(line: SettlementLine) -> _Try:
    account, told = line.psp_account, line.told
    if told.kind is LineKind.UNKNOWN:
        raise LineContradicted(f"no rule knows a line {told.psp_type}")
    if told.kind in DISPUTE_LINES:
        accounted = account_for_dispute_line(account=account, line=told, actor=ACTOR)
        return _Try(line=line, accounted=accounted)
    found = account_for_operation_line(
        account=account, line=told, balance=_balance_of(line), actor=ACTOR
    )
    return _Try(line=line, operation_id=found)


def _balance_of(line: SettlementLine) -> int:
    """How often the reports let the act of a line take effect, minus how often they undo it."""
    effect = EFFECTS[LineKind(line.kind)]
    family = {
        kind: each
        for kind, each in EFFECTS.items()
        if (kind in _REFUNDS) == (line.kind in _REFUNDS)
    }
    others = SettlementLine.objects.filter(
        psp_account_id=line.psp_account_id, psp_id=line.psp_id, kind__in=list(family)
    )
    kinds = others.exclude(pk=line.pk).exclude(status=LineStatus.DEAD)
    return effect + sum(family[LineKind(kind)] for kind in kinds.values_list("kind", flat=True))


def _conclude(tried: _Try) -> None:
    """Write how a try ended, unless the lease has passed to somebody else meanwhile."""
    with transaction.atomic(durable=True):
        line = locked_line(tried.line.pk)
        if line.attempts != tried.line.attempts or line.status not in LINE_WAITING:
            return
        now = now_utc()
        if tried.operation_id is not None:
            line.know()
            line.operation_id = tried.operation_id
            _end(line, now)
        elif tried.accounted is not None:
            _match(line, tried.accounted, now)
        else:
            _put_off_or_bury(line, tried, now)


def _match(line: SettlementLine, accounted: AccountedLine, now: datetime) -> None:
    """It is these transactions, unless another line is: the PSP tells of one thing twice."""
    claimed = SettlementMatch.objects.filter(transaction_id__in=accounted.transaction_ids)
    other = claimed.exclude(line=line).select_related("line__report", "line__psp_account").first()
    if other is not None:
        error = f"{name_of(other.line)} has told of the same money already"
        _put_off_or_bury(line, _Try(line=line, error=error, is_hopeless=True), now)
        return
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


def _put_off_or_bury(line: SettlementLine, tried: _Try, now: datetime) -> None:
    line.last_error = tried.error[:500]
    is_late = is_over(now, since=line.patient_since, tries=line.attempts)
    if tried.is_hopeless or (is_late and not tried.is_silence):
        line.next_try_at = None
        line.bury()
        open_case(_case_of(line, tried.intent))
        logger.error("alert: %s is given up: %s", name_of(line), line.last_error)
    else:
        line.next_try_at = next_try(now, since=line.patient_since)
        if line.status != LineStatus.FAILING:
            line.fail()
    line.save(update_fields=["status", "last_error", "next_try_at"])


def _case_of(line: SettlementLine, intent: PaymentIntent | None) -> Case:
    named = name_of(line)
    summary = (
        f"{named} of a settlement report ({line.psp_type}, {line.net}, "
        f"{line.psp_id or line.identity} at the provider) is not explained: {line.last_error}."
    )
    at_stake = Money(abs(line.net.minor), line.currency)
    if intent is not None:
        return case_about_intent(
            CaseKind.CONTRADICTION, intent, summary, subject=named, amount=at_stake
        )
    case = case_about_account(CaseKind.CONTRADICTION, line.psp_account, summary, subject=named)
    case.amount_minor, case.currency = at_stake.minor, at_stake.currency
    return case


def locked_line(line_id: int) -> SettlementLine:
    """The line, locked, with what names it."""
    lines = SettlementLine.objects.select_for_update(of=("self",))
    return lines.select_related("report", "psp_account").get(pk=line_id)
