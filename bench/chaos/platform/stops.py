"""Processes that sleep longer than a lease with a call to the PSP under way.

C20 of the catalogue: stopped in the call; the lease passes to somebody else; then awake again. What
may not live here: stopping anybody.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import psutil

from bench.chaos.load.plan import LEASE_SECONDS
from bench.chaos.platform.psp_control import PspControl


@dataclass(slots=True, kw_only=True)
class Sleep:
    """One process, stopped for a while. Times in Unix seconds."""

    name: str
    began_at: float
    references: list[str] = field(default_factory=list)
    """Operations for which it had a call to the PSP under way."""
    passed_on: bool = False
    """When it was woken, somebody else had taken a lease of one of them, or closed it."""
    woke_at: float | None = None
    """None: it was never woken, since it died asleep."""

    @property
    def outlasted_its_lease(self) -> bool:
        return self.woke_at is not None and self.woke_at - self.began_at > LEASE_SECONDS


def under_way(process: psutil.Process, psp: PspControl) -> list[str]:
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
