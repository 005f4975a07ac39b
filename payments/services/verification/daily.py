"""Verifies all books once a day: every invariant, and every payment against its entries.

It runs in steps, each over one slice of the books (`ledger.slices`) or of the payments, on one
database snapshot. So a step is as short in large books as in small ones, and a killed worker loses
one. A step that takes too long is left out, with an alert. Apps above payments add parts of theirs.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from typing import Final
from uuid import UUID

import psycopg
from django.db import OperationalError

from ledger.invariants import ALL_INVARIANTS, OFFENDERS_MAX
from ledger.selectors import payment_ids_after
from payments import public_ids
from payments.clock import now_utc
from payments.models import BooksCheck, PaymentIntent
from payments.services.verification.findings import Finding, report
from payments.services.verification.progress import BEFORE_EVERY_ID, EVERYTHING, advance, progress
from payments.services.verification.rebuild import (
    differences_by_payment,
    entries_without_payment,
    one_snapshot,
)

logger = logging.getLogger(__name__)

EVERY: Final = timedelta(hours=24)
"""From the begin of one pass to the begin of the next."""
SWEEP_SECONDS: Final = 5.0
STEP_SECONDS: Final = 12.0
"""PostgreSQL gives up on one step after so long: as much as leaves room for the heartbeat of the
queue."""
PAYMENTS_PER_STEP: Final = 200
PAYMENTS: Final = "payments"
ENTRIES: Final = "entries without a payment"

_INVARIANTS: Final = {invariant.__name__: invariant for invariant in ALL_INVARIANTS}
_CUTS: Final = {invariant.__name__: cut for invariant, cut in ALL_INVARIANTS.items()}


@dataclass(frozen=True, slots=True)
class Step:
    """What one step found, and where the next begins."""

    findings: list[Finding] = field(default_factory=list)
    last: UUID | None = None
    """The last row of the part that was compared; None: the part is over."""
    compared: int = 0
    too_long: bool = False


Check = Callable[[UUID], Step]
"""Checks the slice after a row of its part; takes the row's id, see `Step.last`."""
_OF_OTHER_APPS: Final[dict[str, Check]] = {}


def add_part(name: str, check: Check) -> None:
    """Let the pass check this too, after the payments; to be called when the app is ready."""
    _OF_OTHER_APPS[name] = check


def parts() -> tuple[str, ...]:
    """What one pass checks, in this order."""
    return (*_INVARIANTS, PAYMENTS, ENTRIES, *_OF_OTHER_APPS)


def verify_books() -> int:
    """Advance the daily verification for some seconds; returns how many differences it found.

    Does nothing while the last pass is younger than a day. Each difference is logged as an alert
    and opens a case. Safe to run again, and several at once.
    """
    end = time.monotonic() + SWEEP_SECONDS
    row = progress(EVERYTHING)
    found = 0
    while row.part in parts() or _begin(row):
        step = _check(row)
        found += report(step.findings)  # Before it goes on: a crash repeats, and loses nothing.
        if not _advance(row, step) or time.monotonic() >= end:
            break
    return found


def _begin(row: BooksCheck) -> bool:
    """Begin a pass if one is due, or if a release renamed the parts of the present one."""
    now = now_utc()
    if not row.part and row.began_at is not None and now < row.began_at + EVERY:
        return False
    return advance(
        row,
        part=parts()[0],
        position=BEFORE_EVERY_ID,
        began_at=now,
        compared=0,
        differences=0,
        unchecked=0,
    )


def _check(row: BooksCheck) -> Step:
    if row.part in _OF_OTHER_APPS:
        return _OF_OTHER_APPS[row.part](row.position)
    if row.part == PAYMENTS:
        return _compare_payments(row.position)
    if row.part == ENTRIES:
        return _check_entries_have_payments(row.position)
    return _check_invariant(row.part, row.position)


def _advance(row: BooksCheck, step: Step) -> bool:
    following = {**dict(pairwise(parts())), parts()[-1]: ""}
    part = row.part if step.last is not None else following[row.part]
    unchecked = row.unchecked + step.too_long
    ends_well = not part and not unchecked
    moved = advance(
        row,
        part=part,
        position=step.last or BEFORE_EVERY_ID,
        compared=row.compared + step.compared,
        differences=row.differences + len(step.findings),
        unchecked=unchecked,
        finished_at=now_utc() if ends_well else row.finished_at,
    )
    if moved and not part:
        logger.info(
            "the books were verified: %s payments, %s differences, %s parts left out",
            row.compared,
            row.differences,
            row.unchecked,
        )
    return moved


def _check_invariant(name: str, position: UUID) -> Step:
    """Check one slice; one with so many offenders that no more are named ends the part."""
    last: UUID | None = None
    try:
        with one_snapshot(seconds_most=STEP_SECONDS):
            part = _CUTS[name].next_slice(position)
            last = None if part.is_last else part.last
            offenders = _INVARIANTS[name](part)
    except OperationalError as error:
        if not isinstance(error.__cause__, psycopg.errors.QueryCanceled):
            raise
        logger.exception("alert: %s took more than %s s and was not checked", name, STEP_SECONDS)
        return Step(last=last, too_long=True)
    if len(offenders) >= OFFENDERS_MAX:
        last = None
    return Step([Finding(name, f"{name}: {offender}") for offender in offenders], last)


def _compare_payments(position: UUID) -> Step:
    with one_snapshot(seconds_most=STEP_SECONDS):
        rows = PaymentIntent.objects.filter(pk__gt=position).order_by("pk")
        intents = {each.id: each for each in rows[:PAYMENTS_PER_STEP]}
        found = list(differences_by_payment(list(intents.values())))
    findings = [
        Finding(intents[intent_id].public_id, sentence, intents[intent_id])
        for intent_id, sentence in found
    ]
    over = len(intents) < PAYMENTS_PER_STEP
    return Step(findings, None if over else max(intents), len(intents))


def _check_entries_have_payments(position: UUID) -> Step:
    with one_snapshot(seconds_most=STEP_SECONDS):
        named = payment_ids_after(position, limit=PAYMENTS_PER_STEP)
        found = list(entries_without_payment(named))
    findings = [
        Finding(public_ids.encode(public_ids.PAYMENT_INTENT, payment_id), sentence)
        for payment_id, sentence in found
    ]
    return Step(findings, None if len(named) < PAYMENTS_PER_STEP else named[-1])
