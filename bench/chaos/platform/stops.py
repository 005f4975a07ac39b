"""Records processes stopped with SIGSTOP, and the calls to the PSP that they have in flight.

C20 of the catalog: stopped in a call for longer than a lease, which another process takes over.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import psutil

from bench.chaos.load.plan import LEASE_SECONDS
from bench.chaos.platform.psp_control import PspControl


@dataclass(slots=True, kw_only=True)
class Suspension:
    """One process, stopped for a while. Times in Unix seconds."""

    name: str
    began_at: float
    references: list[str] = field(default_factory=list)
    """Operations for which it had a call to the PSP in flight."""
    taken_over: bool = False
    """Before it continued, another process had taken the lease of one of them, or closed it."""
    continued_at: float | None = None
    """None if it ended while it was stopped."""

    @property
    def outlasted_lease(self) -> bool:
        return self.continued_at is not None and self.continued_at - self.began_at > LEASE_SECONDS


@dataclass(slots=True)
class Stopped:
    """A stopped process that will continue at a given time."""

    process: psutil.Process
    continue_at: float
    suspension: Suspension
    before_continuing: Callable[[], None] | None = None
    """If set, neither the process nor its parent may be killed before it continues."""

    def resume(self) -> None:
        """Continue the process, and record when; does nothing if it has ended."""
        try:
            was_stopped = self.process.status() == psutil.STATUS_STOPPED
            self.process.resume()
        except psutil.NoSuchProcess:
            return
        if was_stopped:
            self.suspension.continued_at = time.time()


def calls_in_flight(process: psutil.Process, psp: PspControl) -> list[str]:
    """The operations for which a process waits for the PSP; exact while the process is stopped."""
    ports = {
        connection.laddr.port
        for connection in process.net_connections("tcp")
        if connection.raddr and connection.raddr.port == psp.port
    }
    newest = {call["peer_port"]: call for call in psp.newest_calls()}
    return sorted(
        {
            call["reference"]
            for port, call in newest.items()
            if port in ports and call["status"] == 0 and call["reference"]
        }
    )
