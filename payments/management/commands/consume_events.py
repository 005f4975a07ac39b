"""`manage.py consume_events --group fraud`: a consumer of the stream, to run and to copy."""

from __future__ import annotations

import logging
import signal
import socket
import threading
from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from payments.services.event_stream.consumer import Consumer
from payments.services.event_stream.effects import EFFECTS, EFFECTS_OF_MANY
from payments.services.event_stream.redis_stream import RedisStream, connect

logger = logging.getLogger(__name__)

_POLL_SECONDS: Final = 0.2


class Command(BaseCommand):
    help = (
        "Consume events of the internal stream, for one group or for several in threads of one "
        "process: each event at least once, its effect exactly once. Several may run for one group "
        "and share the work."
    )

    requires_system_checks = ()  # A third of the time until it runs; a deployment checks once.

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--group",
            required=True,
            action="append",
            choices=sorted(EFFECTS),
            help="can be repeated",
        )
        parser.add_argument(
            "--name",
            default=socket.gethostname(),
            help="unique per process, the same after a restart (default: the host name)",
        )
        parser.add_argument(
            "--take-over-after",
            type=float,
            default=30.0,
            metavar="SECONDS",
            help="when a pending event is retried, or claimed from a consumer that died",
        )

    def handle(self, *args: Any, **given: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        groups = list(dict.fromkeys(given["group"]))
        threads = [
            threading.Thread(
                target=_run, args=(_consumer(group, given), stop), name=group, daemon=True
            )
            for group in groups
        ]
        for thread in threads:
            thread.start()
        self.stdout.write(f"consuming events as {given['name']} for {', '.join(groups)}")
        self.stdout.flush()
        while all(thread.is_alive() for thread in threads):
            if stop.wait(_POLL_SECONDS):
                break
        broken = [] if stop.is_set() else [t.name for t in threads if not t.is_alive()]
        stop.set()
        for thread in threads:
            thread.join()
        if broken:
            # The supervisor restarts the process; its log says why.
            raise CommandError(f"a consumer ended by itself, its log says why: {', '.join(broken)}")


def _consumer(group: str, given: dict[str, Any]) -> Consumer:
    return Consumer(
        stream=RedisStream(connect(), settings.STREAM_KEY),
        group=group,
        name=given["name"],
        effect=EFFECTS[group],
        effect_of_many=EFFECTS_OF_MANY.get(group),
        take_over_after_ms=int(given["take_over_after"] * 1000),
    )


def _run(consumer: Consumer, stop: threading.Event) -> None:
    try:
        consumer.run(stop)
    except Exception:
        logger.exception("the consumer of %s ends", consumer.group)
    finally:
        connections.close_all()
