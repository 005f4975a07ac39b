"""`manage.py consume_events --group fraud`: a consumer of the stream, to run and to copy."""

from __future__ import annotations

import signal
import socket
import threading
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from payments.streaming.consumer import Consumer
from payments.streaming.effects import EFFECTS
from payments.streaming.redis_stream import RedisStream, connect


class Command(BaseCommand):
    help = (
        "Consume events of the internal stream for one group: each at least once, its effect "
        "exactly once. Several may run for one group and share the work."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--group", required=True, choices=sorted(EFFECTS))
        parser.add_argument(
            "--name",
            default=socket.gethostname(),
            help="the same after a restart, another for each that runs (default: the host's)",
        )
        parser.add_argument(
            "--take-over-after",
            type=float,
            default=30.0,
            metavar="SECONDS",
            help="when an unfinished event is tried again, or taken from a consumer that died",
        )

    def handle(self, *args: Any, **given: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        consumer = Consumer(
            stream=RedisStream(connect(), settings.STREAM_KEY),
            group=given["group"],
            name=given["name"],
            effect=EFFECTS[given["group"]],
            take_over_after_ms=int(given["take_over_after"] * 1000),
        )
        self.stdout.write(f"consuming events as {consumer.name} for {consumer.group}")
        self.stdout.flush()
        consumer.run(stop)
