"""`manage.py relay_events`: the process that brings events to merchants' webhook endpoints."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser

from payments.services.egress.http_client import Poster
from payments.services.egress.url_policy import policy_of_settings
from payments.services.merchant_webhooks.relay import THREADS, Relay

_STOP: Final = {signal.SIGTERM, signal.SIGINT}


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
        # Blocked before there are threads: only the one that waits for them takes them. It waits
        # without a limit: sigtimedwait, continued after a SIGSTOP, returns as if it had been told.
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOP)
        relay = Relay(Poster(policy_of_settings()), threads=max(1, given["threads"]))
        finished: list[bool] = []
        worker = threading.Thread(target=lambda: finished.append(relay.run()), daemon=True)
        worker.start()
        threading.Thread(target=lambda: _obey(relay), daemon=True).start()
        self.stdout.write("relaying events")
        self.stdout.flush()
        worker.join()
        if finished == [False]:
            # Tries that still wait for an endpoint would keep the process; their leases end.
            os._exit(0)
        if not finished:
            raise CommandError("the relay ended by itself; its log says why")


def _obey(relay: Relay) -> None:
    signal.sigwait(_STOP)
    relay.stop()
