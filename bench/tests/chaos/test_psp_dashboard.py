"""Each act changes one payment of a real sandbox PSP, or says that no payment allows it."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from bench.chaos.faults.psp_dashboard import act_at_the_psp, charge_back
from bench.chaos.load.plan import DASHBOARD_ACTS
from bench.chaos.platform.psp_control import PspControl
from bench.chaos.platform.psp_payments import by_payment, moved_by
from psp_adapters.tests.support.sandbox_process import SandboxProcess
from psp_adapters.tests.support.shop import Shop


@pytest.fixture(scope="module")
def process() -> Iterator[SandboxProcess]:
    with SandboxProcess() as process:
        yield process


@pytest.fixture(scope="module")
def psp(process: SandboxProcess) -> PspControl:
    port = urlsplit(process.base_url).port
    assert port
    return PspControl(port)


@pytest.fixture
def shop(process: SandboxProcess, psp: PspControl) -> Shop:
    """A shop whose payments are the only ones without a dispute."""
    while charge_back(psp, 0):
        pass
    for payment_id in by_payment(psp.effects()):
        psp.act(payment_id, "void")
    return Shop(process.base_url)


def kinds(psp: PspControl, payment_id: str) -> list[str]:
    return [effect["kind"] for effect in by_payment(psp.effects())[payment_id]]


def paid(shop: Shop, *, capture: bool) -> str:
    status, operation = shop.pay(capture=capture)
    assert status == 200
    return str(operation["payment_id"])


def test_a_hold_is_raised_captured_in_part_and_voided(psp: PspControl, shop: Shop) -> None:
    payment_id = paid(shop, capture=False)
    assert act_at_the_psp(psp, "raise hold", 0)
    assert act_at_the_psp(psp, "capture", 1)
    assert moved_by(by_payment(psp.effects())[payment_id]).held_minor == 750
    assert act_at_the_psp(psp, "void", 0)
    assert kinds(psp, payment_id) == ["authorize", "increment", "capture", "void"]
    assert {e["reference"] for e in by_payment(psp.effects())[payment_id][1:]} == {""}


def test_a_capture_fails_and_succeeds_after_all_while_its_hold_is_open(
    psp: PspControl, shop: Shop
) -> None:
    payment_id = paid(shop, capture=False)
    shop.modify(payment_id, "capture", 1000)
    assert act_at_the_psp(psp, "capture fails later", 0)
    assert moved_by(by_payment(psp.effects())[payment_id]).held_minor == 1000
    assert act_at_the_psp(psp, "capture succeeds after all", 0)
    assert kinds(psp, payment_id) == ["authorize", "capture", "capture_failed", "capture"]


def test_a_capture_may_fail_with_its_hold(psp: PspControl, shop: Shop) -> None:
    payment_id = paid(shop, capture=False)
    shop.modify(payment_id, "capture", 1000)
    assert act_at_the_psp(psp, "capture fails later", 1)
    moved = moved_by(by_payment(psp.effects())[payment_id])
    assert not moved.is_live
    assert moved.kinds == ["authorize", "capture", "capture_failed", "expire"]


def test_only_a_refund_of_a_part_fails_later(psp: PspControl, shop: Shop) -> None:
    payment_id = paid(shop, capture=True)
    shop.modify(payment_id, "refund", 400)
    assert act_at_the_psp(psp, "refund fails later", 0)
    assert kinds(psp, payment_id) == ["authorize", "capture", "refund", "refund_failed"]


@pytest.mark.parametrize(("choice", "refunded"), [(0, 1000), (1, 250)])
def test_staff_refund_a_part_or_all(
    psp: PspControl, shop: Shop, choice: int, refunded: int
) -> None:
    payment_id = paid(shop, capture=True)
    assert act_at_the_psp(psp, "refund", choice)
    assert moved_by(by_payment(psp.effects())[payment_id]).refunded_minor == refunded


def test_an_act_that_nothing_allows_is_replaced_by_the_next(psp: PspControl, shop: Shop) -> None:
    payment_id = paid(shop, capture=False)
    assert act_at_the_psp(psp, "refund fails later", 0)
    assert kinds(psp, payment_id) == ["authorize", "increment"]


@pytest.mark.parametrize("act", DASHBOARD_ACTS)
def test_disputed_payments_are_left_alone(psp: PspControl, shop: Shop, act: str) -> None:
    payment_id = paid(shop, capture=True)
    assert charge_back(psp, 0)
    before = kinds(psp, payment_id)
    assert not act_at_the_psp(psp, act, 0)
    assert kinds(psp, payment_id) == before
