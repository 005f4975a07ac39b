"""Which port a service listens on: a setting, or the usual one if free, or any free one."""

from __future__ import annotations

import os
import socket

from paymentsite.launcher.errors import LauncherError

HOST = "127.0.0.1"


def port_for(service: str, *, setting: str, usual: int | None = None) -> int:
    """The port of `service`; refuses with LauncherError when the setting's port is taken."""
    text = os.environ.get(setting, "").strip()
    if text:
        if not text.isascii() or not text.isdigit() or not 0 < int(text) < 65536:
            raise LauncherError(f"{setting} is {text!r}: set it to a port between 1 and 65535")
        if not is_free(int(text)):
            raise LauncherError(
                f"port {text} for the {service} is taken: stop what listens there, set {setting} "
                f"to another port, or leave {setting} out and a free one is taken"
            )
        return int(text)
    if usual is not None and is_free(usual):
        return usual
    return free_port()


def is_free(port: int) -> bool:
    """Can we listen there?"""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
