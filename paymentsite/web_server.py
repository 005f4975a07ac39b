"""The web server: granian with our limits, and the application imported before workers are forked.

`python -m paymentsite.web_server --host 127.0.0.1 --port 8000 --workers 2` serves the platform.
granian's options are taken, each in place of ours, and another application as `module:factory`.

granian alone has each worker import the application: 2 s of processor time per worker and start.
Forks of a process that has imported it share its memory, and a worker that was killed is replaced
at once. New code needs a restart of the server: SIGHUP would give new workers of the old code.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from paymentsite.environment import REQUEST_WITHIN_SECONDS

CONNECTIONS: Final = 2048
"""Per worker. One that sends nothing holds no thread, only its place among these."""
DRAIN_SECONDS: Final = 10
"""A request waits 8 s for its PSP by default. A stopping server first answers its open requests."""
_APPLICATION: Final = "paymentsite.wsgi:server"


def options(environment: Mapping[str, str]) -> list[str]:
    """Our options of granian."""
    header_within_ms = 1000 * int(
        environment.get("REQUEST_WITHIN_SECONDS") or REQUEST_WITHIN_SECONDS
    )
    return [
        *("--interface", "rsgi", "--factory", "--http", "1", "--no-ws"),
        *("--backlog", str(CONNECTIONS), "--backpressure", str(CONNECTIONS)),
        *("--http1-header-read-timeout", str(header_within_ms), "--http1-buffer-size", "65536"),
        *("--respawn-failed-workers", "--respawn-interval", "0.5"),
        *("--workers-kill-timeout", str(DRAIN_SECONDS), "--log-level", "error"),
    ]


def main(arguments: Sequence[str]) -> None:
    """Import the application, and serve it until a signal ends the server."""
    from granian.cli import entrypoint  # not by the launcher, which reads the limits above

    is_named = bool(arguments) and ":" in arguments[-1]
    given = list(arguments) if is_named else [*arguments, _APPLICATION]
    importlib.import_module(given[-1].partition(":")[0])
    multiprocessing.set_start_method("fork")
    sys.argv[1:] = [*options(os.environ), *given]
    entrypoint()


if __name__ == "__main__":
    main(sys.argv[1:])
