"""Every periodic job in one table: what, how often, in which queue, under which lease, and why.

Beat's schedule and the routes of Celery are made from it; `docs/operations.md` repeats it for
operators, and a test compares both. Tasks are given by name, so that the table imports no app. Not
in it: the relays and the publisher, processes of their own that poll for events.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final


class Queue(StrEnum):
    """Two queues, so that a slow job never delays one that a payment waits for."""

    MONEY = "money"
    ROUTINE = "routine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """One periodic job: bounded, safe to repeat, and safe to run twice at once."""

    name: str
    task: str
    every_seconds: float | None
    """None for the heartbeats, which run every HEARTBEAT_SECONDS."""
    queue: Queue = Queue.ROUTINE
    lease_seconds: int | None = None
    """How long one run excludes others; None if several may run at once (each takes rows of its own
    with SKIP LOCKED). Above the time limit of a task, because a killed run leaves its lease."""
    why: str


HEARTBEATS: Final = {Queue.MONEY: "heartbeat-money", Queue.ROUTINE: "heartbeat-routine"}
"""By queue: the sweep whose last run shows that a worker consumes it."""

_LEASE_SECONDS: Final = 90

SWEEPS: Final = (
    Sweep(
        name="resolve-due-operations",
        task="payments.tasks.resolve_due_operations",
        every_seconds=2,
        queue=Queue.MONEY,
        why="lost answers, bank debits, challenges: looked up 2 s after they are unknown",
    ),
    Sweep(
        name="process-due-notifications",
        task="payments.tasks.process_due_notifications",
        every_seconds=2,
        queue=Queue.MONEY,
        why="notifications of PSPs whose wake-up was lost, and retries",
    ),
    Sweep(
        name="reverse-late-successes",
        task="payments.tasks.reverse_due_charges",
        every_seconds=5,
        queue=Queue.MONEY,
        why="charges that succeeded after their payment had ended are voided or refunded",
    ),
    Sweep(
        name="resolve-due-dispute-responses",
        task="payments.tasks.resolve_due_dispute_responses",
        every_seconds=2,
        queue=Queue.MONEY,
        why="evidence whose answer was lost: its deadline is fixed",
    ),
    Sweep(
        name="resolve-due-setups",
        task="payments.tasks.resolve_due_setups",
        every_seconds=2,
        queue=Queue.MONEY,
        why="a customer waits for a card that is being saved; no money moves",
    ),
    Sweep(
        name="sync-due-disputes",
        task="payments.tasks.sync_due_disputes",
        every_seconds=30,
        why="notifications get lost; an open dispute is synced every few hours",
    ),
    Sweep(
        name="remind-of-due-evidence",
        task="payments.tasks.remind_of_due_evidence",
        every_seconds=60,
        why="reminders 72 and 24 hours before the deadline: a minute more or less does not matter",
    ),
    Sweep(
        name="fetch-settlement-reports",
        task="reconciliation.tasks.fetch_settlement_reports",
        every_seconds=30,
        why="each account's list is fetched every 5 minutes; a missing report is retried",
    ),
    Sweep(
        name="import-watched-files",
        task="reconciliation.tasks.import_watched_files",
        every_seconds=60,
        lease_seconds=_LEASE_SECONDS,
        why="takes in reports that another program put into REPORTS_FOLDER",
    ),
    Sweep(
        name="read-settlement-reports",
        task="reconciliation.tasks.read_settlement_reports",
        every_seconds=30,
        why="reads stored reports; a large one in slices",
    ),
    Sweep(
        name="match-settlement-lines",
        task="reconciliation.tasks.match_settlement_lines",
        every_seconds=30,
        why="a dispute whose notifications were all lost is found by its settlement line",
    ),
    Sweep(
        name="watch-settlements",
        task="reconciliation.tasks.watch_settlements",
        every_seconds=60,
        lease_seconds=_LEASE_SECONDS,
        why="what should be in a settlement report by now becomes a case, until its line comes",
    ),
    Sweep(
        name="watch-balances",
        task="reconciliation.tasks.watch_balances",
        every_seconds=600,
        lease_seconds=_LEASE_SECONDS,
        why="what a PSP says once a day that it holds is compared with the books",
    ),
    Sweep(
        name="match-bank-lines",
        task="reconciliation.tasks.match_bank_lines",
        every_seconds=60,
        why="what bank statements show of payouts, and payouts that reached no bank in time",
    ),
    Sweep(
        name="write-due-exports",
        task="reconciliation.tasks.write_due_exports",
        every_seconds=60,
        lease_seconds=_LEASE_SECONDS,
        why="writes the exports of days and months that are over into EXPORTS_FOLDER",
    ),
    Sweep(
        name="act-on-due-deadlines",
        task="payments.tasks.act_on_due_deadlines",
        every_seconds=5,
        why="authorizations that end, and abandoned payments: hours matter, not seconds",
    ),
    Sweep(
        name="expire-checkout-sessions",
        task="payments.tasks.expire_due_sessions",
        every_seconds=30,
        why="checkout sessions whose time is over: their payments are canceled",
    ),
    Sweep(
        name="expire-approvals",
        task="payments.tasks.expire_due_approvals",
        every_seconds=60,
        why="requests for approval that were not decided in time: what they reserved is released",
    ),
    Sweep(
        name="announce-balances",
        task="payments.tasks.announce_balances",
        every_seconds=60,
        lease_seconds=_LEASE_SECONDS,
        why="money becomes available by date, and by settlement lines: merchants are told",
    ),
    Sweep(
        name=HEARTBEATS[Queue.MONEY],
        task="paymentsite.celery.heartbeat_money",
        every_seconds=None,
        queue=Queue.MONEY,
        why="shows that a worker takes messages from this queue, not only that it runs",
    ),
    Sweep(
        name=HEARTBEATS[Queue.ROUTINE],
        task="paymentsite.celery.heartbeat_routine",
        every_seconds=None,
        why="the same for the other queue",
    ),
    Sweep(
        name="take-ledger-snapshots",
        task="ledger.tasks.take_snapshot",
        every_seconds=60,
        lease_seconds=_LEASE_SECONDS,
        why="keeps reading a balance short; only accounts with a long tail get a snapshot",
    ),
    Sweep(
        name="seal-rows",
        task="ledger.tasks.seal_rows",
        every_seconds=60,
        lease_seconds=_LEASE_SECONDS,
        why="ledger, events and audit trail go into a hash chain that shows any change of them",
    ),
    Sweep(
        name="check-recent-payments",
        task="payments.tasks.check_recent_payments",
        every_seconds=60,
        lease_seconds=_LEASE_SECONDS,
        why="compares every payment that changed with the books; differences become cases",
    ),
    Sweep(
        name="verify-books",
        task="payments.tasks.verify_books",
        every_seconds=60,
        lease_seconds=_LEASE_SECONDS,
        why="checks every invariant and every payment once a day, in slices of some seconds",
    ),
    Sweep(
        name="purge-old-deliveries",
        task="payments.tasks.purge_old_deliveries",
        every_seconds=3600,
        lease_seconds=_LEASE_SECONDS,
        why="deliveries to webhook endpoints and their attempts are kept 30 days",
    ),
    Sweep(
        name="make-months",
        task="payments.tasks.make_months",
        every_seconds=3600,
        lease_seconds=_LEASE_SECONDS,
        why="tables that an operator partitioned have three months ahead",
    ),
    Sweep(
        name="purge-old-idempotency-keys",
        task="payments.tasks.purge_old_idempotency_keys",
        every_seconds=3600,
        lease_seconds=_LEASE_SECONDS,
        why="keys are kept 400 days; hourly, as beat loses daily ticks when it restarts",
    ),
)

BY_TASK: Final = {sweep.task: sweep for sweep in SWEEPS}
BY_NAME: Final = {sweep.name: sweep for sweep in SWEEPS}

_EXPIRES_SECONDS: Final = (10.0, 60.0)
"""Least and most seconds after which a tick expires that no worker took; in between its period, as
the next tick does the same work. The clocks of beat and workers may differ by less than the
first."""
HEARTBEAT_PRIORITY: Final = 0
WAKEUP_PRIORITY: Final = 3
TICK_PRIORITY: Final = 6
"""On Redis kombu delivers the lowest first. While a PSP hangs a sweep can take long, and ticks pile
up behind it; heartbeats and wake-ups must not wait for these."""


def beat_schedule(*, heartbeat_seconds: float) -> dict[str, dict[str, Any]]:
    """Celery's schedule."""
    return {sweep.name: _entry(sweep, heartbeat_seconds) for sweep in SWEEPS}


def _entry(sweep: Sweep, heartbeat_seconds: float) -> dict[str, Any]:
    is_heartbeat = sweep.name in HEARTBEATS.values()
    period_seconds = float(sweep.every_seconds or heartbeat_seconds)
    shortest, longest = _EXPIRES_SECONDS
    return {
        "task": sweep.task,
        "schedule": period_seconds,
        "options": {
            "expires": min(max(period_seconds, shortest), longest),
            "priority": HEARTBEAT_PRIORITY if is_heartbeat else TICK_PRIORITY,
        },
    }


def task_routes() -> dict[str, dict[str, str]]:
    """The queue of every sweep, for ticks and wake-ups."""
    return {sweep.task: {"queue": sweep.queue.value} for sweep in SWEEPS}
