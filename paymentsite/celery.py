"""The Celery application; the beat table is `paymentsite.sweeps`.

Messages are only wake-ups: every task is one call of a service that claims rows under a lock. A
lost, duplicate or late message therefore changes nothing.
"""

from __future__ import annotations

import gc
import os
from typing import Any

from celery import Celery, Task
from celery.app.amqp import AMQP
from celery.signals import celeryd_init, setup_logging, worker_process_init
from django.conf import settings
from kombu import Connection
from kombu.transport.redis import Channel

from paymentsite import sweeps
from paymentsite.launcher.signals import die_with_parent

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "paymentsite.settings")
if not settings.configured:
    # Only worker and beat import this module before the settings. They need plain connections:
    # Celery closes a pool around every task, and keeps a plain connection.
    os.environ.setdefault("DATABASE_POOL", "off")
    gc.disable()  # until all apps are imported (paymentsite.apps): a fifth of the time to start

# Otherwise each start of worker and beat would run Django's system checks: a third of its processor
# time. `manage.py check --deploy` and `check_installation` run them once an installation.
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")

# An unreachable Redis may delay a request by 0.1 s at most: the sweeps find the row anyway.
_WAKEUP_TIMEOUT_SECONDS = 0.1


class BrokerConnection(Connection):
    """A connection that a worker soon has again when the broker is back.

    kombu waits 2, 4, 6 … 30 seconds between attempts: 20 s after an outage of 3 s.
    """

    def ensure_connection(self, *args: Any, **options: Any) -> Connection:
        soon = {"interval_start": 0.5, "interval_step": 0.5, "interval_max": 2}
        return super().ensure_connection(*args, **{**soon, **options})


class _Broker(AMQP):
    Connection = BrokerConnection


class SweepTask(Task):
    """Runs a task that is in the table of sweeps as a sweep: records it, under its lease if any.

    So each task of an app stays one call of a service, and knows nothing of leases and last runs.
    """

    def __call__(self, *args: Any, **options: Any) -> Any:
        sweep = sweeps.BY_TASK.get(str(self.name))
        if sweep is None:
            return super().__call__(*args, **options)
        # Not at the top: this module is imported before Django's models are loaded.
        from paymentsite.sweep_runs import run_under_lease

        return run_under_lease(sweep, lambda: super(SweepTask, self).__call__(*args, **options))


app = Celery("paymentsite", task_cls=SweepTask, amqp=_Broker)
app.set_default()  # also for threads other than the one that imports this
app.conf.update(
    broker_url=settings.REDIS_URL,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,  # a worker outlives any outage of its broker
    broker_connection_timeout=_WAKEUP_TIMEOUT_SECONDS,
    broker_transport_options={
        # A message that is taken is gone from Redis: one that a worker loses by its end is only a
        # wake-up. So a message costs one command and not nine, and no worker has to acknowledge
        # one over a lost connection, which ends it (kombu 5.7.0).
        "ack_emulation": False,
        "socket_timeout": _WAKEUP_TIMEOUT_SECONDS,
        "socket_connect_timeout": _WAKEUP_TIMEOUT_SECONDS,
        "retry_on_timeout": False,
        "max_retries": 0,
    },
    task_publish_retry=False,
    # Acknowledged in memory only, after its run: a worker holds no second message meanwhile, and
    # those of a higher priority come before it.
    task_acks_late=True,
    worker_prefetch_multiplier=1,
    worker_enable_remote_control=False,
    task_time_limit=60,
    task_soft_time_limit=50,
    task_ignore_result=True,
    result_backend=None,
    task_serializer="json",
    accept_content=["json"],
    worker_send_task_events=False,
    timezone="UTC",
    beat_schedule=sweeps.beat_schedule(heartbeat_seconds=settings.HEARTBEAT_SECONDS),
    task_routes=sweeps.task_routes(),
    task_default_queue=sweeps.Queue.ROUTINE.value,
)
# The database connection of a worker is kept. One that is dead is replaced at the next BEGIN
# (paymentsite.postgresql), or after the run that failed by it.
app.conf["CELERY_DB_REUSE_MAX"] = 1000
app.autodiscover_tasks()


@app.task
def heartbeat_money() -> None:
    """A worker consumes the queue `money`.

    A heartbeat does nothing itself. That its run is recorded shows that a worker took a message
    from the queue, ran it, and could write to the database.
    """


@app.task
def heartbeat_routine() -> None:
    """A worker consumes the queue `routine`."""


@setup_logging.connect
def _keep_our_logging(**_: Any) -> None:
    """Keeps Celery from replacing the logging of Django's settings; connecting is enough."""


@celeryd_init.connect
def _longer_broker_timeouts(conf: Any, **_: Any) -> None:
    """Let a worker wait longer for its broker than a request does.

    It also returns no messages over a lost connection: kombu 5.7.0 does so while it closes that
    connection, and the worker ends by an AttributeError.
    """
    Channel.do_restore = False
    conf.broker_connection_timeout = 4
    conf.broker_transport_options = {
        **conf.broker_transport_options,
        "socket_timeout": 30,
        "socket_connect_timeout": 4,
    }


@worker_process_init.connect
def _die_with_worker(**_: Any) -> None:
    """End the pool's child processes when their worker is killed."""
    die_with_parent()
