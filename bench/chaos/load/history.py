"""Records what the clients saw: one record when a request is sent, one when it ends.

`ok` (done), `fail` (refused, nothing done) or `info` (indefinite: timeout, reset, 5xx, 409, 429).
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TextIO


@dataclass(slots=True, kw_only=True)
class Record:
    """One line of the history."""

    at: float
    """Unix seconds, so that the lines of the PSP and the database sort in between."""
    type: str
    client: str
    verb: str
    order: str
    intent: str
    key: str
    attempt: int
    server: int
    merchant: int
    sent_at: float = 0.0
    status: int = 0
    body_sha256: str = ""
    replayed: bool = False
    seen: dict[str, Any] = field(default_factory=dict)
    """What the checks need of the answer: ids, statuses, amounts, error codes."""
    error: str = ""


class History:
    """Kept in memory for the checks, and written as JSON lines for people."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.records: list[Record] = []
        self._file: TextIO = path.open("w")
        self._lock = threading.Lock()

    def add(self, record: Record) -> None:
        """Append one record; any thread."""
        line = json.dumps(asdict(record), separators=(",", ":"))
        with self._lock:
            self.records.append(record)
            self._file.write(line + "\n")

    def note(self, what: str, **facts: Any) -> None:
        """Append a line of the nemesis or of a phase; the checks do not read these."""
        line = json.dumps({"at": time.time(), "type": "note", "what": what, **facts})
        with self._lock:
            self._file.write(line + "\n")

    def close(self) -> None:
        """Write everything out."""
        with self._lock:
            self._file.close()
