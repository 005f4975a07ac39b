"""Fixtures of the payment tests: a shop on real PostgreSQL and a real sandbox PSP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.conf import settings

from payments.tests.support.listening import MerchantServer, listening
from payments.tests.support.notices import Hooks
from payments.tests.support.shop import Shop, open_shop
from psp_adapters.tests.support.receiver import Receiver
from psp_adapters.tests.support.sandbox_process import SandboxProcess


@pytest.fixture
def shop(database: None, sandbox_psp: SandboxProcess) -> Iterator[Shop]:
    """A merchant with a PSP account of its own; the PSP is healthy again afterwards."""
    yield open_shop(sandbox_psp)
    sandbox_psp.heal()


@pytest.fixture
def other_shop(shop: Shop) -> Shop:
    """Another merchant at the same PSP."""
    return open_shop(shop.psp)


@pytest.fixture
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Merchants' endpoints may be on this machine, as in `make demo`."""
    monkeypatch.setattr(settings, "WEBHOOK_LOOPBACK", True)
    monkeypatch.setenv("WEBHOOK_LOOPBACK", "on")


@pytest.fixture
def server(loopback: None) -> Iterator[MerchantServer]:
    """A merchant's server that takes everything."""
    with listening() as server:
        yield server


@pytest.fixture
def hooks(shop: Shop) -> Iterator[Hooks]:
    """The shop's PSP account sends notices; they are caught, and delivered by the test."""
    with Receiver() as receiver:
        hooks = Hooks(shop, receiver)
        hooks.listen()
        yield hooks
        hooks.stop()
