"""Settlement batches and their reports, built from the journal."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from psp_adapters.sandbox_psp.state.movements import Movement
from psp_adapters.sandbox_psp.state.records import Effect

# Kind of effect to type of line, and the sign of its amount in the gross and in the fee. Other
# effects hold or release money, which changes nothing of what we owe the account.
LINE_TYPES: Final = {
    "capture": ("charge", 1, 0),
    "capture_failed": ("charge_failure", -1, 0),
    "refund": ("refund", -1, 0),
    "refund_failed": ("refund_failure", 1, 0),
    "dispute": ("dispute", -1, 0),
    "dispute_reversed": ("dispute_reversal", 1, 0),
    "dispute_fee": ("dispute_fee", 0, 1),
    "dispute_fee_returned": ("dispute_fee", 0, -1),
}


CONVERTED: Final = frozenset({"capture", "capture_failed", "refund", "refund_failed"})
"""Effects that are settled in the account's currency; disputes stay in that of the payment."""
NO_DEFECT: Final = "none"
"""Takes away those that were ordered before."""


@dataclass(frozen=True, slots=True)
class Defect:
    """A defect of a report's files (rules.report_defects), and the line that it concerns."""

    kind: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One account's part of one batch; never empty, and never changes."""

    account_id: str
    number: int
    closed_ms: int
    effects: tuple[Effect, ...]
    movements: tuple[Movement, ...]
    available_after_seconds: float = 0.0
    defects: tuple[Defect, ...] = ()

    @property
    def name(self) -> str:
        return f"settlement_{self.number}.csv"

    payouts: Mapping[str, str] = field(default_factory=dict)
    """By currency, the payout that the report contains, of all its lines."""

    @property
    def available_ms(self) -> int:
        """When the money of its lines is available."""
        return self.closed_ms + int(self.available_after_seconds * 1000)

    @property
    def line_count(self) -> int:
        return len(self.effects) + len(self.movements)


class Batches:
    """The batches closed so far; only the journal changes them."""

    def __init__(self) -> None:
        self.until = 0
        """The number of effects, from the first, that are in closed batches."""
        self.movements_until = 0
        """The same of movements."""
        self.closed_ms = 0
        self.late: list[Effect] = []
        """Those of the last batch that its reports left out: the next ones have them."""
        self.reports: dict[str, list[Report]] = {}
        """By account, oldest first."""
        self._defects: dict[str, tuple[Defect, ...]] = {}
        """By account, of its next report."""

    def add_defect(self, record: dict[str, Any]) -> None:
        """Add a defect to the account's next report, or to the closed one that is named."""
        account_id, defect = record["account"], Defect(record["defect"], record["line"])
        if not record["report"]:
            self._defects[account_id] = _added(self._defects.get(account_id, ()), defect)
            return
        reports = self.reports[account_id]
        for place, report in enumerate(reports):
            if report.name == record["report"]:
                reports[place] = replace(report, defects=_added(report.defects, defect))

    def add_payout(self, report_name: str, movement: Movement) -> None:
        """Add a payout of all its lines to a report that was closed just now."""
        reports = self.reports[movement.account_id]
        report = reports.pop()
        assert report.name == report_name, "it is the newest"
        reports.append(
            replace(
                report,
                movements=(*report.movements, movement),
                payouts={**report.payouts, movement.currency: movement.id},
            )
        )
        self.movements_until += 1

    def apply(
        self, record: dict[str, Any], effects: list[Effect], movements: list[Movement]
    ) -> None:
        """Close one batch by one record of the journal."""
        by_account: dict[str, tuple[list[Effect], list[Movement]]] = {}
        share = record.get("late_lines", 0.0)
        lines = [each for each in effects[self.until : record["until"]] if each.kind in LINE_TYPES]
        for effect in (*self.late, *(each for each in lines if not _is_late(each, share))):
            by_account.setdefault(effect.payment.account.id, ([], []))[0].append(effect)
        self.late = [each for each in lines if _is_late(each, share)]
        for movement in movements[self.movements_until : record.get("movements_until", 0)]:
            by_account.setdefault(movement.account_id, ([], []))[1].append(movement)
        for account_id, (of_payments, of_account) in by_account.items():
            reports = self.reports.setdefault(account_id, [])
            report = Report(
                account_id=account_id,
                number=len(reports) + 1,
                closed_ms=record["at"],
                effects=tuple(of_payments),
                movements=tuple(of_account),
                available_after_seconds=record.get("available_after_seconds", 0.0),
                defects=self._defects.pop(account_id, ()),
            )
            reports.append(report)
        self.until, self.closed_ms = record["until"], record["at"]
        self.movements_until = record.get("movements_until", 0)


def _added(defects: tuple[Defect, ...], defect: Defect) -> tuple[Defect, ...]:
    return () if defect.kind == NO_DEFECT else (*defects, defect)


def _is_late(effect: Effect, share: float) -> bool:
    """Whether its line comes one report late; the same whenever the journal is read."""
    return zlib.crc32(f"line {effect.seq}".encode()) < share * 2**32
