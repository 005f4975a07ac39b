"""What a line of the simulator's report costs, by component."""

from __future__ import annotations

import pytest

from psp_adapters.tests.sandbox_psp.test_settlement import closed, rows, short
from psp_adapters.tests.support.sandbox_process import SandboxProcess
from psp_adapters.tests.support.shop import Shop


@pytest.fixture
def buyer(own_sandbox: SandboxProcess) -> Shop:
    """A shop at a PSP whose periods do not end by themselves."""
    own_sandbox.set_behavior(settlement_period_seconds=0)
    return Shop(own_sandbox.base_url)


def test_the_components_of_a_processing_fee_add_up_to_it(
    own_sandbox: SandboxProcess, buyer: Shop
) -> None:
    shares = {"interchange_basis_points": 100, "scheme_fee_basis_points": 50}
    fee = {"basis_points": 140, "fixed_minor": 25, **shares}
    own_sandbox.control("PUT", "processing_fee", fee)
    for minor in (1_000, 10_000, 1):
        buyer.pay(capture=True, minor=minor)
    parts = ("fee_minor", "markup_minor", "interchange_minor", "scheme_fee_minor")
    said = [tuple(int(row[name]) for name in parts) for row in rows(closed(own_sandbox, buyer))]
    assert said == [(39, 24, 10, 5), (165, 15, 100, 50), (1, 1, 0, 0)]


def test_a_processing_fee_is_of_the_captures_after_it_and_survives_a_kill(
    own_sandbox: SandboxProcess, buyer: Shop
) -> None:
    buyer.pay(capture=True, minor=1_000)
    own_sandbox.control("PUT", "processing_fee", {"basis_points": 140, "fixed_minor": 25})
    own_sandbox.kill()
    own_sandbox.start()
    for minor in (1_000, 10):
        buyer.pay(capture=True, minor=minor)
    lines = [("charge", 1_000, 0), ("charge", 1_000, 39), ("charge", 10, 10)]
    assert short(closed(own_sandbox, buyer)) == lines
    for wrong in ({"basis_points": -1, "fixed_minor": 0}, {"basis_points": 1}):
        with pytest.raises(AssertionError, match="answered 400"):
            own_sandbox.control("PUT", "processing_fee", wrong)


def test_captures_and_refunds_are_settled_in_another_currency_and_survive_a_kill(
    own_sandbox: SandboxProcess, buyer: Shop
) -> None:
    payment = buyer.pay(capture=True, minor=1_000)[1]["payment_id"]
    own_sandbox.settle_in(buyer.api_key, "EUR", USD="0.925")
    own_sandbox.control("PUT", "processing_fee", {"basis_points": 140, "fixed_minor": 25})
    own_sandbox.kill()
    own_sandbox.start()
    own_sandbox.set_behavior(settlement_period_seconds=0)
    buyer.pay(capture=True, minor=1_001)
    buyer.modify(payment, "refund", 300)
    buyer.pay(capture=True, minor=500, currency="GBP")
    columns = ("currency", "gross_minor", "fee_minor", "paid_currency", "paid_minor")
    said = [[row[name] for name in columns] for row in rows(closed(own_sandbox, buyer))]
    assert said == [
        ["USD", "1000", "0", "", ""],
        ["EUR", "926", "36", "USD", "1001"],
        ["EUR", "-278", "0", "USD", "-300"],
        ["GBP", "500", "32", "", ""],
    ]
    with pytest.raises(AssertionError, match="answered 400"):
        own_sandbox.settle_in(buyer.api_key, "EUR", EUR="1")
