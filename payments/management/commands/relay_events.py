"""`manage.py relay_events`: the process that brings events to merchants' webhook endpoints."""

from __future__ import annotations

import os
import signal
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from payments.services.egress.posting import Poster
from payments.services.egress.targets import policy_of_settings
from payments.services.webhooks.relay import THREADS, Relay


class Command(BaseCommand):
    help = (
        "Deliver events to webhook endpoints until SIGTERM or SIGINT. Run as many as you like; one "
        "that is killed loses nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--threads", type=int, default=THREADS, help="requests at once to endpoints that answer"
        )

    def handle(self, *args: Any, **given: Any) -> None:
        relay = Relay(Poster(policy_of_settings()), threads=max(1, given["threads"]))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: relay.stop())
        self.stdout.write("relaying events")
        self.stdout.flush()
        if not relay.run():
            # Tries that still wait for an endpoint would keep the process; their leases end.
            os._exit(0)
