"""The ledger's Celery tasks, under the names that the beat table sends."""

from __future__ import annotations

import pytest
from celery import current_app

from ledger import chart, services, tasks
from ledger.models import BalanceSnapshot
from ledger.posting_rules import captured
from ledger.tests.books import MERCHANT, PARTIES, PSP, book, settle, usd

pytestmark = pytest.mark.usefixtures("database")


def test_the_snapshot_task_takes_snapshots_of_long_tails(monkeypatch: pytest.MonkeyPatch) -> None:
    assert current_app.tasks["ledger.tasks.take_snapshot"].name == tasks.take_snapshot.name
    book(captured(PARTIES, usd(100)))
    settle()
    tasks.take_snapshot.run()
    assert not BalanceSnapshot.objects.exists()  # one entry is no long tail

    default = dict(services.take_snapshot.__kwdefaults__, tail_entries_min=1)
    monkeypatch.setattr(services.take_snapshot, "__kwdefaults__", default)
    tasks.take_snapshot.run()
    tasks.take_snapshot.run()
    account_ids = set(BalanceSnapshot.objects.values_list("account_id", flat=True))
    assert account_ids == {
        chart.PSP_RECEIVABLE.of(PSP, "USD").id,
        chart.MERCHANT_PAYABLE.of(str(MERCHANT), "USD").id,
    }
    assert BalanceSnapshot.objects.count() == 2
