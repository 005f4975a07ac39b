"""Leases go by the database's clock, so a host whose clock is wrong writes correct ones."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta

import pytest

from ledger.database.clock import database_clock
from payments.models import IdempotencyKey, Operation
from payments.services.idempotency.keys import LEASE_SECONDS
from payments.tests.support.crashes import crash
from payments.tests.support.shop import Shop


@pytest.fixture
def database_ahead() -> Iterator[timedelta]:
    """This host is an hour behind its database."""
    at = time.monotonic()
    database_clock.observe(time.time() + 3600, asked_at=at, answered_at=at)
    yield timedelta(hours=1)
    database_clock._known = None


def test_leases_end_by_the_clock_of_the_database(shop: Shop, database_ahead: timedelta) -> None:
    crash("before the PSP has it", lambda: shop.create(caller=shop.caller(key="the key")))
    operation, key = Operation.objects.get(), IdempotencyKey.objects.get()
    for row in (operation, key):
        lease = row.lease_until - row.created_at
        assert abs(lease - database_ahead - timedelta(seconds=LEASE_SECONDS)) < timedelta(seconds=5)
