"""Every state of the machines of reconciliation, and every legal move, as tables.

The FSM decorators, the PostgreSQL triggers and the tests are all held to these tables. What may not
live here: functions that change anything.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from payments.states import Table


class ReportStatus(StrEnum):
    """How far we are with a settlement report."""

    RECEIVING = "receiving"
    """Its file is being stored, or storing it was interrupted; import or fetch it again."""
    STORED = "stored"
    """The file is here as it came; its lines are still to be read."""
    READ = "read"
    UNREADABLE = "unreadable"
    """Not a whole report of its PSP: no line of it counts. An operator must act."""


class LineStatus(StrEnum):
    """How far we are with one line of a settlement report or of a bank statement."""

    OPEN = "open"
    """No attempt to match it yet."""
    FAILING = "failing"
    """An attempt failed; it is repeated later."""
    MATCHED = "matched"
    """Ledger transactions of ours equal it, to the minor unit."""
    DEAD = "dead"
    """Given up with a case, until an operator requeues it."""
    WRITTEN_OFF = "written_off"
    """Never explained: two people have written its amount off. Only of settlement lines."""


R = ReportStatus
L = LineStatus

REPORT_TRANSITIONS: Final[Table] = {
    R.RECEIVING: frozenset({R.STORED}),
    R.STORED: frozenset({R.READ, R.UNREADABLE}),
    R.READ: frozenset(),
    R.UNREADABLE: frozenset({R.STORED}),
}
REPORT_INITIAL: Final = frozenset({R.RECEIVING})

LINE_TRANSITIONS: Final[Table] = {
    L.OPEN: frozenset({L.FAILING, L.MATCHED, L.DEAD}),
    L.FAILING: frozenset({L.OPEN, L.MATCHED, L.DEAD}),
    L.MATCHED: frozenset(),
    L.DEAD: frozenset({L.OPEN, L.WRITTEN_OFF}),
    L.WRITTEN_OFF: frozenset(),
}
BANK_LINE_TRANSITIONS: Final[Table] = {**LINE_TRANSITIONS, L.DEAD: frozenset({L.OPEN})}
LINE_INITIAL: Final = frozenset({L.OPEN})
LINE_GIVEN_UP: Final = frozenset({L.DEAD, L.WRITTEN_OFF})
"""It explains nothing of an operation."""
LINE_WAITING: Final = frozenset({L.OPEN, L.FAILING})
