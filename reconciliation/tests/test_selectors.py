"""The figures of settlement for the metrics."""

from __future__ import annotations

import pytest

from payments.tests.support.shop import Shop
from reconciliation.models import SettlementLine
from reconciliation.selectors import lines_dead, lines_overdue_seconds
from reconciliation.services.matching.sweep import match_due_lines
from reconciliation.tests.support.settling import Settling, speak_plainly


def test_waiting_and_dead_lines_are_counted(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (lines_overdue_seconds(), lines_dead()) == (0.0, 0)
    speak_plainly(shop, monkeypatch)
    Settling(shop).read(b"l1 surprise x_1 0 5\nl2 charge cap_stranger 100 0")
    SettlementLine.objects.update(next_attempt_at="2026-01-01T00:00:00Z")
    assert lines_overdue_seconds() > 86_400
    match_due_lines()
    assert (lines_overdue_seconds(), lines_dead()) == (0.0, 1)
