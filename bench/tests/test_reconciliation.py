"""The bench of reconciliation: its report is whole, and has the defects that it says."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from bench.reconciliation.report_file import CURRENCY, DEFECTS, TWICE, write_report
from psp_adapters.contract.report_files import ReportFile
from psp_adapters.sandbox import reports


@dataclass(frozen=True)
class Moved:
    kind: str
    psp_id: str
    psp_payment_id: str
    amount_minor: int
    currency: str = "USD"
    created_at: datetime = datetime(2026, 3, 1, tzinfo=UTC)


def operations(count: int) -> Iterator[Moved]:
    for number in range(count):
        kind = "refund" if number % 5 == 4 else "capture"
        yield Moved(kind, f"cap_{number}", f"pay_{number}", 1_000 + number)


def test_the_report_is_a_whole_one_with_every_defect() -> None:
    file = io.BytesIO()
    seeded = write_report(file, operations(6_000), lines=5_000, seed=1)
    lines = list(reports.read(ReportFile(file)))
    assert 5_000 <= len(lines) <= 5_001
    assert set(seeded.values()) == set(DEFECTS)
    ids = Counter(line.psp_id for line in lines)
    by_identity = {line.identity: line for line in lines}
    assert len(by_identity) == len(lines)
    for identity, defect in seeded.items():
        line = by_identity[identity]
        assert (line.gross.currency == "EUR") == (defect == CURRENCY)
        assert (ids[line.psp_id] == 2) == (defect == TWICE)


def test_too_few_operations_are_refused() -> None:
    with pytest.raises(LookupError, match="for 10 lines only"):
        write_report(io.BytesIO(), operations(10), lines=11, seed=1)
