"""Waits for the rest of an amount that a PSP settles in parts, and brings back parts given up."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from payments.services.jobs.backoff import is_time_to_give_up
from payments.services.psp_gateway.accounts import psp_account_of
from payments.services.psp_gateway.terms import settlement_calendar_of
from psp_adapters.contract.settlement_reports import OPERATION_LINES
from reconciliation.discrepancies import Discrepancy
from reconciliation.models import SettlementLine
from reconciliation.services.matching.line_groups import (
    APPLIED,
    WAITS_FOR_OTHERS,
    given_up_others,
    group_of,
    signed_minor,
)
from reconciliation.services.matching.operation_lines import operation_of
from reconciliation.services.matching.payment_lines import (
    captures_of_payment,
    left_of_all,
    waiting_minor,
)


class _Waiting(Protocol):
    """What it depends on when a line is given up."""

    @property
    def retrying_since(self) -> datetime: ...
    @property
    def occurred_at(self) -> datetime: ...
    @property
    def psp_account_id(self) -> UUID: ...


def is_over(line: _Waiting, discrepancy: str, now: datetime, *, attempts: int) -> bool:
    """Whether a line is given up by now: a part of an amount not before the rest is overdue."""
    if not is_time_to_give_up(now, since=line.retrying_since, attempts=attempts):
        return False
    if discrepancy != Discrepancy.PARTIAL_SETTLEMENT:
        return True
    calendar = settlement_calendar_of(psp_account_of(line.psp_account_id))
    return now >= calendar.reported_by(line.occurred_at)


def wake_given_up_parts(line: SettlementLine, now: datetime) -> int:
    """Requeue lines that were given up as parts, if with this one they are their operation.

    In the caller's transaction; returns how many.
    """
    if line.kind not in OPERATION_LINES or line.discrepancy not in WAITS_FOR_OTHERS:
        return 0
    others = given_up_others(line)
    if not others or not _are_whole(line, others):
        return 0
    for each in others:
        each.requeue_at(now)
    return len(others)


def _are_whole(line: SettlementLine, others: Sequence[SettlementLine]) -> bool:
    """Whether these lines and those that wait are their operation or captures: no more, no less."""
    added_minor = sum(each.paid_minor for each in others)
    if captures := captures_of_payment(line):
        return waiting_minor(line) + added_minor == left_of_all(line, captures)
    operation = operation_of(line.psp_account, line.reported)
    if operation is None or operation.status not in APPLIED:
        return False
    return group_of(line).sum_minor + added_minor == signed_minor(operation)
