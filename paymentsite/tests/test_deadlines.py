"""The ladder of deadlines: whoever is inside gives up before whoever waits for them does."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from django.conf import settings
from django.db import connection

from payments.api.request_headers import WAIT_SECONDS_MAX
from payments.models import Merchant
from payments.services import doorbell, idempotency, notifications, psp, recovery
from payments.services.retries import BACKOFF_MAX_SECONDS
from paymentsite import environment
from paymentsite.celery import app
from paymentsite.launcher import platform_processes
from paymentsite.sweeps import SWEEPS
from psp_adapters import http

CLIENT_TIMEOUT_SECONDS = 40
"""What docs/operations.md publishes: a merchant's client waits at least this long."""
PROXY_TIMEOUT_SECONDS = 35
"""What docs/operations.md asks of a proxy in front of us."""


def test_a_call_ends_inside_its_lease_and_the_lease_inside_what_the_client_waits() -> None:
    ladder = [
        ("PSP connect", http.CONNECT_SECONDS),
        ("PSP read", http.READ_SECONDS),
        ("whole call, retries included", psp.CALL_DEADLINE_SECONDS),
        ("lease of key and operation", idempotency.LEASE_SECONDS),
        ("proxy", PROXY_TIMEOUT_SECONDS),
        ("client", CLIENT_TIMEOUT_SECONDS),
    ]
    assert ladder == sorted(ladder, key=lambda rung: rung[1])
    assert len({seconds for _, seconds in ladder}) == len(ladder)


def test_the_longest_wait_that_a_request_may_ask_for_ends_inside_the_proxys() -> None:
    assert WAIT_SECONDS_MAX < PROXY_TIMEOUT_SECONDS
    longest_setting_ms = Merchant._meta.get_field("psp_wait_ms").default
    assert longest_setting_ms / 1000 < psp.CALL_DEADLINE_SECONDS


def test_a_call_and_its_transaction_two_end_inside_the_lease() -> None:
    attempts_seconds = 3 * environment.TRANSACTION_TIMEOUT_MS / 1000
    one_seconds = environment.TRANSACTION_TIMEOUT_MS / 1000
    assert psp.CALL_DEADLINE_SECONDS + one_seconds < idempotency.LEASE_SECONDS
    # All three attempts may outlive it: then the lease fences what they would write.
    assert attempts_seconds == pytest.approx(30)


def test_a_question_is_shorter_than_a_call_and_a_sweep_shorter_than_its_task() -> None:
    assert psp.QUESTION_DEADLINE_SECONDS < http.READ_SECONDS < psp.CALL_DEADLINE_SECONDS
    # The last operation of a sweep may take: a look, a repeat, a fence.
    last_seconds = 2 * psp.QUESTION_DEADLINE_SECONDS + psp.CALL_DEADLINE_SECONDS
    assert last_seconds < idempotency.LEASE_SECONDS
    soft_seconds = app.conf.task_soft_time_limit
    assert recovery.SWEEP_SECONDS + last_seconds < soft_seconds < app.conf.task_time_limit
    batch_seconds = notifications._BATCH * psp.QUESTION_DEADLINE_SECONDS
    assert notifications.SWEEP_SECONDS + batch_seconds < soft_seconds
    assert batch_seconds < notifications.LEASE_SECONDS


def test_no_backoff_outlasts_a_call() -> None:
    assert BACKOFF_MAX_SECONDS < psp.CALL_DEADLINE_SECONDS


def test_a_task_ends_before_its_lease_and_long_before_its_message_is_delivered_again() -> None:
    visibility_seconds = app.conf.broker_transport_options["visibility_timeout"]
    for sweep in SWEEPS:
        if sweep.lease_seconds is not None:
            assert app.conf.task_time_limit < sweep.lease_seconds, sweep.name
    assert app.conf.task_time_limit < visibility_seconds
    assert doorbell.COUNTDOWN_SECONDS_MAX + app.conf.task_time_limit < visibility_seconds


def test_the_database_gives_up_before_anybody_gives_up_on_it() -> None:
    ladder_ms = [
        environment.LOCK_TIMEOUT_MS,
        environment.STATEMENT_TIMEOUT_MS,
        environment.TRANSACTION_TIMEOUT_MS,
        idempotency.LEASE_SECONDS * 1000,
    ]
    assert ladder_ms == sorted(set(ladder_ms))
    assert environment.IDLE_IN_TRANSACTION_TIMEOUT_MS <= environment.TRANSACTION_TIMEOUT_MS
    assert environment.CONNECT_TIMEOUT_SECONDS <= environment.POOL_TIMEOUT_SECONDS
    assert environment.POOL_TIMEOUT_SECONDS < psp.CALL_DEADLINE_SECONDS
    assert environment.TCP_USER_TIMEOUT_MS < idempotency.LEASE_SECONDS * 1000


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
    assert list(api.command)[list(api.command).index("--blocking-threads") + 1] == threads
    assert int(threads) == settings.API_THREADS, "the default of the settings is the launcher's"
