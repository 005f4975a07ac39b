"""`manage.py relay_events`: the process that delivers events to merchants' webhook endpoints."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser

from payments.services.egress.http_client import HttpClient
from payments.services.egress.url_policy import policy_of_settings
from payments.services.merchant_webhooks.relay import THREADS, Relay

_STOP: Final = {signal.SIGTERM, signal.SIGINT}


class Command(BaseCommand):
    help = (
        "Deliver events to webhook endpoints until SIGTERM or SIGINT. Several may run at once; one "
        "that is killed loses nothing."
    )

    requires_system_checks = ()  # A third of the time until it runs; a deployment checks once.

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--threads",
            type=int,
            default=THREADS,
            help="concurrent requests to fast endpoints",
        )

    def handle(self, *args: Any, **given: Any) -> None:
        # Blocked before there are threads, so that only the waiting one gets the signals. It waits
        # without a limit: sigtimedwait returns after SIGSTOP and SIGCONT as if one had come.
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOP)
        relay = Relay(HttpClient(policy_of_settings()), threads=max(1, given["threads"]))
        finished: list[bool] = []
        worker = threading.Thread(target=lambda: finished.append(relay.run()), daemon=True)
        worker.start()
        threading.Thread(target=lambda: _stop_on_signal(relay), daemon=True).start()
        self.stdout.write("relaying events")
        self.stdout.flush()
        worker.join()
        if finished == [False]:
            # Attempts still in flight would keep the process alive; their leases end.
            os._exit(0)
        if not finished:
            raise CommandError("the relay ended by itself; its log says why")


def _stop_on_signal(relay: Relay) -> None:
    signal.sigwait(_STOP)
    relay.stop()
