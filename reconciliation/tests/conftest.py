"""Fixtures of the reconciliation tests: a shop whose PSP makes settlement reports."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from payments.tests.support.shop import Shop, open_shop
from psp_adapters.tests.support.sandbox_process import SandboxProcess
from reconciliation.tests.support.banking import Banking
from reconciliation.tests.support.settling import Settling, speak_plainly


@pytest.fixture
def shop(database: None, sandbox_psp: SandboxProcess) -> Iterator[Shop]:
    """A merchant with a PSP account of its own; the PSP is healthy again afterwards.

    No period of settlement ends by itself, as it would at midnight.
    """
    sandbox_psp.set_behavior(settlement_period_seconds=0)
    yield open_shop(sandbox_psp)
    sandbox_psp.heal()


@pytest.fixture
def other_shop(shop: Shop) -> Shop:
    """Another merchant at the same PSP."""
    return open_shop(shop.psp)


@pytest.fixture
def settling(shop: Shop) -> Settling:
    return Settling(shop)


@pytest.fixture
def banking(settling: Settling, monkeypatch: pytest.MonkeyPatch) -> Banking:
    """A shop whose PSP has plain reports, and pays out to a bank account in USD."""
    speak_plainly(settling.shop, monkeypatch)
    banking = Banking(settling)
    banking.open()
    return banking
