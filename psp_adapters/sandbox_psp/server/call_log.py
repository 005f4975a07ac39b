"""The log of requests that test harnesses read; in memory only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psp_adapters.sandbox_psp.server.requests import Call
from psp_adapters.sandbox_psp.state.clock import iso


@dataclass(slots=True)
class SeenCall:
    """One request as the call log keeps it."""

    seq: int
    at_ms: int
    call: Call
    api_key: str
    executed: bool = False
    """Whether this request itself changed the state (a replay does not)."""
    replayed: bool = False
    status: int = 0
    """What was answered, or would have been; 0 while under way."""
    fault: str = ""
    peer_port: int = 0
    """Of the client's connection: on one machine it identifies the calling process."""

    def as_json(self) -> dict[str, Any]:
        call = self.call
        return {
            "seq": self.seq,
            "at": iso(self.at_ms),
            "method": call.method,
            "path": call.path,
            "kind": call.kind,
            "reference": call.facts("")["reference"],
            "order_id": call.order_id,
            "idempotency_key": call.idempotency_key,
            "executed": self.executed,
            "replayed": self.replayed,
            "status": self.status,
            "fault": self.fault,
            "peer_port": self.peer_port,
        }
