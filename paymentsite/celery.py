"""The Celery application and the beat table.

The broker is a doorbell: every task is one call of a service that claims rows under a lock, so a
lost, doubled or late message changes nothing. What may not live here: the tasks themselves.
"""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from celery.signals import celeryd_init, setup_logging, worker_process_init
from django.conf import settings

from paymentsite.launcher.lifeline import die_with_parent

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "paymentsite.settings")
if not settings.configured:
    # Only in worker and beat is this module imported before the settings: Celery closes a pool
    # around every task, a plain connection it keeps.
    os.environ.setdefault("DATABASE_POOL", "off")

# Tasks by name, so that this table imports no app. Every task claims what is due in the database:
# two beats, a missed tick or a doubled one are harmless.
BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    # Lost answers, bank debits, challenges: the first look is due 2 s after the doubt.
    "resolve-due-operations": {
        "task": "payments.tasks.resolve_due_operations",
        "schedule": 2.0,
        "options": {"expires": 10},
    },
    # What PSPs tell us is looked at when the doorbell rings; this is for rings that were lost, and
    # for what is tried again.
    "process-due-notifications": {
        "task": "payments.tasks.process_due_notifications",
        "schedule": 2.0,
        "options": {"expires": 10},
    },
    # Evidence whose answer was lost: the deadline does not wait.
    "resolve-due-dispute-responses": {
        "task": "payments.tasks.resolve_due_dispute_responses",
        "schedule": 2.0,
        "options": {"expires": 10},
    },
    # Notices of PSPs get lost; an open dispute is asked about every few hours.
    "look-at-due-disputes": {
        "task": "payments.tasks.look_at_due_disputes",
        "schedule": 30.0,
        "options": {"expires": 30},
    },
    # 72 and 24 hours before the deadline: a minute earlier or later is the same.
    "remind-of-due-evidence": {
        "task": "payments.tasks.remind_of_due_evidence",
        "schedule": 60.0,
        "options": {"expires": 60},
    },
    # Balances stay one short read; a snapshot is taken of accounts with a long tail only.
    "take-ledger-snapshots": {
        "task": "ledger.tasks.take_snapshot",
        "schedule": 60.0,
        "options": {"expires": 60},
    },
    # Keys are kept 400 days; once a day is often enough to forget the older ones.
    "forget-old-idempotency-keys": {
        "task": "payments.tasks.forget_old_idempotency_keys",
        "schedule": 24 * 3600.0,
    },
}

# An unreachable Redis may cost a request a tenth of a second, not more: the sweeps find the row.
_RING_TIMEOUT_SECONDS = 0.1
_VISIBILITY_TIMEOUT_SECONDS = 600  # far above the time limit of a task

app = Celery("paymentsite")
app.set_default()  # also for threads other than the one that imports this
app.conf.update(
    broker_url=settings.REDIS_URL,
    broker_connection_retry_on_startup=True,
    broker_connection_timeout=_RING_TIMEOUT_SECONDS,
    broker_transport_options={
        "visibility_timeout": _VISIBILITY_TIMEOUT_SECONDS,
        "socket_timeout": _RING_TIMEOUT_SECONDS,
        "socket_connect_timeout": _RING_TIMEOUT_SECONDS,
        "retry_on_timeout": False,
        "max_retries": 0,
    },
    task_publish_retry=False,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    task_time_limit=60,
    task_soft_time_limit=50,
    task_ignore_result=True,
    result_backend=None,
    task_serializer="json",
    accept_content=["json"],
    worker_send_task_events=False,
    timezone="UTC",
    beat_schedule=BEAT_SCHEDULE,
)
# The database connection of a worker is kept: CONN_MAX_AGE None, health-checked.
app.conf["CELERY_DB_REUSE_MAX"] = 1000
app.autodiscover_tasks()


@setup_logging.connect
def _keep_our_logging(**_: Any) -> None:
    """Being connected is enough: Celery leaves alone what Django's settings have set up."""


@celeryd_init.connect
def _patient_worker(conf: Any, **_: Any) -> None:
    """A worker waits on its broker; only publishers are in a hurry."""
    conf.broker_connection_timeout = 4
    conf.broker_transport_options = {
        **conf.broker_transport_options,
        "socket_timeout": 30,
        "socket_connect_timeout": 4,
    }


@worker_process_init.connect
def _die_with_worker(**_: Any) -> None:
    """No child of the pool outlives a killed worker."""
    die_with_parent()
