"""Runs a Python module as a server that listens on loopback only and writes nothing to disk.

For programs that offer no choice: `python -m psp_adapters.tests.support.loopback_only MODULE ARGS`.
They run in this process of their own, and are never imported by the tests. It ends when its
standard input closes, so that no test leaves it behind.
"""

from __future__ import annotations

import builtins
import os
import runpy
import socket
import sys
import tempfile
import threading
from typing import Any

_bind = socket.socket.bind
_open = builtins.open


def _bind_to_loopback(self: socket.socket, address: Any) -> None:
    if self.family is socket.AF_INET6 and address[0] in ("", "::"):
        # IPv4's loopback, as it is written in IPv6.
        self.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        address = ("::ffff:127.0.0.1", *address[1:])
    elif self.family is socket.AF_INET and address[0] in ("", "0.0.0.0"):  # noqa: S104
        address = ("127.0.0.1", *address[1:])
    _bind(self, address)


def _open_without_temporary_files(file: Any, mode: str = "r", *more: Any, **options: Any) -> Any:
    is_written = any(letter in mode for letter in "wax+")
    if is_written and str(file).startswith(tempfile.gettempdir() + os.sep):
        file = os.devnull
    return _open(file, mode, *more, **options)


def _end_with_the_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    socket.socket.bind = _bind_to_loopback  # type: ignore[assignment,method-assign]
    builtins.open = _open_without_temporary_files
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
