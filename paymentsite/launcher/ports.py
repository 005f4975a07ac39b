"""Chooses the port of each server and holds it, so that no two launchers use the same one.

Binding cannot tell two launchers apart. granian binds with SO_REUSEPORT, so a second instance would
share the port, and the kernel would spread the requests over both. A port is therefore held twice:

- A lock that carries the port's number. Only launchers take it. It excludes other launchers of any
  user and any checkout on this machine.
- A bound socket that never listens (Linux). The port stays ours before its server starts and while
  it restarts: the kernel gives it to no outgoing connection, and to no program that asks for any
  free port. With SO_REUSEADDR on both sides our own server can still bind and listen.

The kernel releases both when the process ends, by kill -9 too.
"""

from __future__ import annotations

import atexit
import os
import socket
import sys

from paymentsite.launcher.progress import LauncherError

HOST = "127.0.0.1"
_IS_LINUX = sys.platform == "linux"
_held: dict[int, tuple[socket.socket, ...]] = {}
"""The sockets that hold each port of this process."""


def hold_port(service: str, *, setting: str, usual: int | None = None) -> int:
    """Hold a port for `service` until `release_port` or the end of this process.

    The port is that of the environment variable `setting`. Without one it is `usual`, or any other
    port if `usual` is None or taken. Raises LauncherError if the port of `setting` is taken.
    """
    text = os.environ.get(setting, "").strip()
    if text:
        if not text.isascii() or not text.isdigit() or not 0 < int(text) < 65536:
            raise LauncherError(f"{setting} is {text!r}: set it to a port between 1 and 65535")
        if not _hold(int(text)):
            raise LauncherError(
                f"port {text} for the {service} is taken: stop the program that uses it, set "
                f"{setting} to another port, or unset {setting} to use any free port"
            )
        return int(text)
    if usual is not None and _hold(usual):
        return usual
    return hold_any_port()


def hold_any_port() -> int:
    """Hold a free port of the kernel's choice until `release_port` or the end of this process."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as chosen:
            chosen.bind((HOST, 0))
            port = int(chosen.getsockname()[1])
        if _hold(port):
            return port


def release_port(port: int) -> None:
    """Let other programs have the port; call it after the server has stopped."""
    for each in _held.pop(port, ()):
        each.close()


@atexit.register
def _release_all_ports() -> None:
    for port in list(_held):
        release_port(port)


def _hold(port: int) -> bool:
    """Hold the port; False if another launcher holds it or a socket listens on it."""
    lock = _lock(port)
    if lock is None:
        return False
    reservation = _reservation(port)
    if reservation is None:
        lock.close()
        return False
    if _IS_LINUX:
        _held[port] = (lock, reservation)
    else:
        reservation.close()  # elsewhere a server could not bind beside it
        _held[port] = (lock,)
    return True


def _lock(port: int) -> socket.socket | None:
    """The lock of that number, held until it is closed; None if a launcher holds it.

    On Linux it is an abstract Unix socket: it leaves no file, needs no permission, and belongs to
    the same network namespace as the port. Elsewhere it is the UDP port of the same number.
    """
    family = socket.AF_UNIX if _IS_LINUX else socket.AF_INET
    lock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        lock.bind(f"\0paymentsite-launcher-port-{port}" if _IS_LINUX else (HOST, port))
    except OSError:
        lock.close()
        return None
    return lock


def _reservation(port: int) -> socket.socket | None:
    """A socket bound to the port that does not listen; None if another socket listens there.

    SO_REUSEADDR binds beside closing connections of an earlier server, never beside a listener.
    """
    reservation = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        reservation.bind((HOST, port))
    except OSError:
        reservation.close()
        return None
    return reservation
