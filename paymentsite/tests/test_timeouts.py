"""The ladder of timeouts: an inner one ends before the outer one that waits for it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest
from django.conf import settings
from django.db import connection

from ledger import tasks as ledger_tasks
from payments.api.request_headers import WAIT_SECONDS_MAX
from payments.models import Merchant
from payments.services.approvals import decisions
from payments.services.automatic_actions import (
    balance_announcements,
    expired_sessions,
    late_success_reversals,
    months,
    retention,
)
from payments.services.automatic_actions import sweep as action_sweep
from payments.services.disputes import reminders, responses, sync
from payments.services.idempotency import keys
from payments.services.psp_gateway import sending
from payments.services.psp_gateway.retries import BACKOFF_FIRST_SECONDS, RETRIES_MAX
from payments.services.psp_notifications import processing
from payments.services.recovery import setups as setup_recovery
from payments.services.recovery import sweep as recovery_sweep
from payments.services.verification import daily, recent
from paymentsite import environment, health, web_server
from paymentsite.celery import app
from paymentsite.launcher import platform_processes, watchdog
from paymentsite.launcher.state import PROJECT
from paymentsite.sweeps import BY_NAME, SWEEPS, Queue
from psp_adapters import http
from reconciliation.services.bank_statements import sweep as bank_sweep
from reconciliation.services.expectations import balance_drift, watching
from reconciliation.services.exports import scheduled
from reconciliation.services.matching import sweep as line_sweep
from reconciliation.services.reports import fetching, reading, watched_folder

CLIENT_TIMEOUT_SECONDS = 40
"""What docs/operations.md publishes: a merchant's client waits at least this long."""
PROXY_TIMEOUT_SECONDS = 35
"""What docs/operations.md asks of a proxy in front of us."""
BEGINS_FOR_SECONDS_MAX = 10
"""What docs/operations.md says of sweeps."""
ONE_MORE_SECOND = 1
"""For all statements of a snapshot together, after the limit of each."""


def test_a_call_ends_inside_its_lease_and_the_lease_inside_what_the_client_waits() -> None:
    ladder = [
        ("PSP connect", http.CONNECT_SECONDS),
        ("PSP read", http.READ_SECONDS),
        ("whole call, retries included", sending.CALL_DEADLINE_SECONDS),
        ("lease of key and operation", keys.LEASE_SECONDS),
        ("proxy", PROXY_TIMEOUT_SECONDS),
        ("client", CLIENT_TIMEOUT_SECONDS),
    ]
    assert ladder == sorted(ladder, key=lambda rung: rung[1])
    assert len({seconds for _, seconds in ladder}) == len(ladder)


def test_the_longest_wait_that_a_request_may_ask_for_ends_inside_the_proxys() -> None:
    assert WAIT_SECONDS_MAX < PROXY_TIMEOUT_SECONDS
    longest_setting_ms = Merchant._meta.get_field("psp_wait_ms").default
    assert longest_setting_ms / 1000 < sending.CALL_DEADLINE_SECONDS


def test_a_call_and_its_transaction_two_end_inside_the_lease() -> None:
    attempts_seconds = 3 * environment.TRANSACTION_TIMEOUT_MS / 1000
    one_seconds = environment.TRANSACTION_TIMEOUT_MS / 1000
    assert sending.CALL_DEADLINE_SECONDS + one_seconds < keys.LEASE_SECONDS
    # All three attempts may outlive it: then the lease fences what they would write.
    assert attempts_seconds == pytest.approx(30)


def test_the_deadline_of_a_look_up_is_shorter_than_that_of_a_call() -> None:
    assert sending.LOOKUP_DEADLINE_SECONDS < http.READ_SECONDS < sending.CALL_DEADLINE_SECONDS


class Held(NamedTuple):
    """How long one run of a sweep may hold a worker."""

    begins_for_seconds: float
    """After that it begins no new row."""
    last_seconds: float
    """The longest that its last row may take, with a PSP that hangs or PostgreSQL at its limit."""

    @property
    def seconds(self) -> float:
        return self.begins_for_seconds + self.last_seconds


STATEMENT_SECONDS = environment.STATEMENT_TIMEOUT_MS / 1000
TRANSACTION_SECONDS = environment.TRANSACTION_TIMEOUT_MS / 1000
LOOK_UP_SECONDS = sending.LOOKUP_DEADLINE_SECONDS
CALL_SECONDS = sending.CALL_DEADLINE_SECONDS
# One batch of lines; 0.2 s on a quiet core.
PARSE_SECONDS = 1.0
# The largest report that a sweep fetches, looked through for card numbers and stored; 3 s on a
# quiet core.
TAKE_IN_SECONDS = 5.0
# After a look-up without an answer no other follows for the same dispute or payment.
HELD = {
    "resolve-due-operations": Held(  # a look-up, a fence, a repeat
        recovery_sweep.SWEEP_SECONDS, 2 * LOOK_UP_SECONDS + CALL_SECONDS
    ),
    "process-due-notifications": Held(processing.SWEEP_SECONDS, processing.BATCH * LOOK_UP_SECONDS),
    "reverse-late-successes": Held(  # a look-up, a void or a refund
        late_success_reversals.SWEEP_SECONDS, LOOK_UP_SECONDS + CALL_SECONDS
    ),
    "resolve-due-dispute-responses": Held(  # a look-up, a repeat with its deadline
        responses.SWEEP_SECONDS, 2 * LOOK_UP_SECONDS
    ),
    "resolve-due-setups": Held(  # a look-up, a repeat
        setup_recovery.SWEEP_SECONDS, LOOK_UP_SECONDS + CALL_SECONDS
    ),
    "sync-due-disputes": Held(sync.SWEEP_SECONDS, LOOK_UP_SECONDS),
    "remind-of-due-evidence": Held(reminders.SWEEP_SECONDS, TRANSACTION_SECONDS),
    "fetch-settlement-reports": Held(
        fetching.SWEEP_SECONDS, fetching.FETCH_DEADLINE_SECONDS + TAKE_IN_SECONDS
    ),
    "import-watched-files": Held(watched_folder.SWEEP_SECONDS, TAKE_IN_SECONDS),
    "read-settlement-reports": Held(  # a batch is read and stored, spent lines are removed
        reading.SWEEP_SECONDS, PARSE_SECONDS + 2 * STATEMENT_SECONDS + reading.REMOVAL_SECONDS
    ),
    "match-settlement-lines": Held(  # look-ups of a dispute and of its charge
        line_sweep.SWEEP_SECONDS, LOOK_UP_SECONDS
    ),
    "watch-settlements": Held(watching.SWEEP_SECONDS, TRANSACTION_SECONDS),
    "watch-balances": Held(  # the statements that judge, then a look-up
        balance_drift.SWEEP_SECONDS, STATEMENT_SECONDS + LOOK_UP_SECONDS
    ),
    "match-bank-lines": Held(bank_sweep.SWEEP_SECONDS, STATEMENT_SECONDS),
    "write-due-exports": Held(  # one file, the end of its transaction, and its way onto the disk
        scheduled.SWEEP_SECONDS, scheduled.FILE_SECONDS + 2 * ONE_MORE_SECOND
    ),
    "act-on-due-deadlines": Held(  # a look-up, or a void
        action_sweep.SWEEP_SECONDS, max(LOOK_UP_SECONDS, CALL_SECONDS)
    ),
    "expire-checkout-sessions": Held(  # a look-up, then a void
        expired_sessions.SWEEP_SECONDS, expired_sessions.LOOK_UP_SECONDS + CALL_SECONDS
    ),
    "expire-approvals": Held(decisions.SWEEP_SECONDS, TRANSACTION_SECONDS),
    "announce-balances": Held(balance_announcements.SWEEP_SECONDS, TRANSACTION_SECONDS),
    "heartbeat-money": Held(0, STATEMENT_SECONDS),
    "heartbeat-routine": Held(0, STATEMENT_SECONDS),
    "seal-rows": Held(ledger_tasks.seals.RUN_SECONDS, STATEMENT_SECONDS),
    "take-ledger-snapshots": Held(ledger_tasks.services.SNAPSHOT_SECONDS, STATEMENT_SECONDS),
    "check-recent-payments": Held(recent.SWEEP_SECONDS, recent.BATCH_SECONDS + ONE_MORE_SECOND),
    "verify-books": Held(daily.SWEEP_SECONDS, daily.STEP_SECONDS + ONE_MORE_SECOND),
    "purge-old-deliveries": Held(retention.SWEEP_SECONDS, STATEMENT_SECONDS),
    "make-months": Held(months.SWEEP_SECONDS, STATEMENT_SECONDS),
    "purge-old-idempotency-keys": Held(retention.SWEEP_SECONDS, STATEMENT_SECONDS),
}


def test_every_sweep_ends_before_its_task_is_stopped() -> None:
    assert set(HELD) == set(BY_NAME)
    soft_seconds = app.conf.task_soft_time_limit
    assert soft_seconds < app.conf.task_time_limit
    for name, held in HELD.items():
        assert held.begins_for_seconds <= BEGINS_FOR_SECONDS_MAX, name
        assert held.seconds < soft_seconds, name


def test_a_worker_that_sweeps_sends_its_heartbeat_before_its_queue_is_reported() -> None:
    """Heartbeats overtake ticks, so one sweep at most stands before the next."""
    tick_seconds = settings.HEARTBEAT_SECONDS
    for name, held in HELD.items():
        queue = BY_NAME[name].queue
        others = platform_processes.WORKER_PROCESSES[queue] - 1
        if others == 0:
            assert tick_seconds + held.seconds < health.NOT_CONSUMED_AFTER_SECONDS, name
        # Where others take heartbeats too, all of them may be held at once: shown, not restarted.
        assert tick_seconds + held.seconds < watchdog.OVERDUE_AFTER_SECONDS, name


def test_the_lease_of_a_row_outlasts_the_sweep_that_took_it() -> None:
    last_of_recovery = HELD["resolve-due-operations"].last_seconds
    assert last_of_recovery < keys.LEASE_SECONDS
    assert HELD["process-due-notifications"].last_seconds < processing.QUEUE.lease.total_seconds()
    assert HELD["resolve-due-dispute-responses"].last_seconds < keys.LEASE_SECONDS
    assert HELD["resolve-due-setups"].last_seconds < keys.LEASE_SECONDS
    assert (
        HELD["reverse-late-successes"].last_seconds
        < late_success_reversals.QUEUE.lease.total_seconds()
    )
    assert HELD["act-on-due-deadlines"].last_seconds < action_sweep.QUEUE.lease.total_seconds()
    assert (
        HELD["expire-checkout-sessions"].last_seconds < expired_sessions.QUEUE.lease.total_seconds()
    )
    assert HELD["fetch-settlement-reports"].last_seconds < fetching.QUEUE.lease.total_seconds()
    assert HELD["read-settlement-reports"].last_seconds < reading.QUEUE.lease.total_seconds()
    assert HELD["match-settlement-lines"].last_seconds < line_sweep.QUEUE.lease.total_seconds()
    assert HELD["match-bank-lines"].last_seconds < bank_sweep.QUEUE.lease.total_seconds()
    assert HELD["sync-due-disputes"].last_seconds < sync.QUEUE.lease.total_seconds()


def test_the_page_says_how_long_a_sweep_may_take() -> None:
    page = (PROJECT / "docs" / "operations.md").read_text()
    routine = max(HELD[s.name].begins_for_seconds for s in SWEEPS if s.queue is Queue.ROUTINE)
    longest = max(held.seconds for held in HELD.values())
    assert (BEGINS_FOR_SECONDS_MAX, routine, longest) == (10, 5, 35)
    assert (
        "| a sweep begins nothing after (queue `routine`); with what it began last, at most; its "
        "task (soft, hard); lease of a sweep | 10 (5); 35; 50, 60; 90 |"
    ) in page


def test_all_backoffs_together_leave_time_for_a_call() -> None:
    backoffs_seconds = BACKOFF_FIRST_SECONDS * (2**RETRIES_MAX - 1)
    assert backoffs_seconds < sending.CALL_DEADLINE_SECONDS - http.READ_SECONDS


def test_a_task_ends_before_its_lease() -> None:
    for sweep in SWEEPS:
        if sweep.lease_seconds is not None:
            assert app.conf.task_time_limit < sweep.lease_seconds, sweep.name


def test_the_database_times_out_before_its_clients_do() -> None:
    ladder_ms = [
        environment.LOCK_TIMEOUT_MS,
        environment.STATEMENT_TIMEOUT_MS,
        environment.TRANSACTION_TIMEOUT_MS,
        keys.LEASE_SECONDS * 1000,
    ]
    assert ladder_ms == sorted(set(ladder_ms))
    assert environment.IDLE_IN_TRANSACTION_TIMEOUT_MS <= environment.TRANSACTION_TIMEOUT_MS
    assert environment.CONNECT_TIMEOUT_SECONDS <= environment.POOL_TIMEOUT_SECONDS
    assert environment.POOL_TIMEOUT_SECONDS < sending.CALL_DEADLINE_SECONDS
    assert environment.TCP_USER_TIMEOUT_MS < keys.LEASE_SECONDS * 1000


def test_postgresql_really_has_these_timeouts(database: None) -> None:
    names = ("lock_timeout", "statement_timeout", "transaction_timeout")
    with connection.cursor() as cursor:
        shown = {}
        for name in (*names, "idle_in_transaction_session_timeout"):
            cursor.execute(f"SELECT setting::int FROM pg_settings WHERE name = '{name}'")
            shown[name] = cursor.fetchone()[0]
    assert shown == {
        "lock_timeout": environment.LOCK_TIMEOUT_MS,
        "statement_timeout": environment.STATEMENT_TIMEOUT_MS,
        "transaction_timeout": environment.TRANSACTION_TIMEOUT_MS,
        "idle_in_transaction_session_timeout": environment.IDLE_IN_TRANSACTION_TIMEOUT_MS,
    }
    raw: psycopg.Connection = connection.connection
    assert raw.info.get_parameters()["tcp_user_timeout"] == str(environment.TCP_USER_TIMEOUT_MS)
    assert raw.info.get_parameters()["connect_timeout"] == str(environment.CONNECT_TIMEOUT_SECONDS)


def test_the_launcher_says_how_many_threads_there_are(tmp_path: Path) -> None:
    api = platform_processes.api(tmp_path, {}, port=1)
    threads = api.environment["API_THREADS"]
    assert int(threads) == settings.API_THREADS, "the default of the settings is the launcher's"


def test_the_headers_and_the_body_of_a_request_have_the_same_deadline() -> None:
    for given, seconds in (({}, 15), ({"REQUEST_WITHIN_SECONDS": "4"}, 4)):
        options = web_server.options(given)
        headers_ms = options[options.index("--http1-header-read-timeout") + 1]
        assert headers_ms == str(1000 * seconds)
    assert environment.REQUEST_WITHIN_SECONDS == settings.REQUEST_WITHIN_SECONDS == 15
    assert settings.REQUEST_WITHIN_SECONDS < PROXY_TIMEOUT_SECONDS
