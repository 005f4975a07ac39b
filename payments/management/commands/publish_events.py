"""`manage.py publish_events`: keeps the internal stream in Redis up to date until stopped."""

from __future__ import annotations

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from payments.services.event_stream.publisher import publisher_of_settings


class Command(BaseCommand):
    help = (
        "Put every event on the internal stream (Redis), in order per payment; rewrite the stream "
        "if Redis has lost it. Several may run at once. --status shows each group's position and "
        "changes nothing."
    )

    requires_system_checks = ()  # A third of the time until it runs; a deployment checks once.

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--status", action="store_true", help="show positions and lags")

    def handle(self, *args: Any, **given: Any) -> None:
        publisher = publisher_of_settings()
        if given["status"]:
            for group in publisher.status():
                self.stdout.write(
                    f"{group.name}: consumed to {group.consumed_to}, {group.behind} behind, "
                    f"{group.pending} pending"
                )
            return
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        self.stdout.write("publishing events")
        self.stdout.flush()
        publisher.run(stop)
