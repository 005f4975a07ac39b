"""Scripted late outcomes: operations are reversed or reinstated, and failed ones succeed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from psp_adapters.tests.support.receiver import SECRET, Receiver
from psp_adapters.tests.support.sandbox_process import SandboxProcess
from psp_adapters.tests.support.shop import Shop, error_of, kinds


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def shop(sandbox: SandboxProcess) -> Iterator[Shop]:
    yield Shop(sandbox.base_url)
    sandbox.heal()


def paid(shop: Shop, token: str = "pm_card_visa", *, capture: bool = False) -> str:
    _, operation = shop.pay(token, reference=f"op-{shop.order_id}", capture=capture)
    return str(operation["payment_id"])


def test_a_capture_fails_and_is_reinstated(sandbox: SandboxProcess, shop: Shop) -> None:
    payment_id = paid(shop)
    shop.modify(payment_id, "capture", 600, reference=f"cap-{shop.order_id}")
    view = sandbox.revise(f"cap-{shop.order_id}", "fail")
    assert (view["status"], view["payment"]["held_minor"]) == ("failed", 1000)
    assert shop.payment(payment_id)["status"] == "authorized"
    view = sandbox.revise(f"cap-{shop.order_id}", "succeed")
    assert (view["status"], view["payment"]["held_minor"]) == ("succeeded", 0)
    assert kinds(sandbox, shop) == [
        ("authorize", 1000),
        ("capture", 600),
        ("capture_failed", 600),
        ("capture", 600),
    ]


def test_a_capture_may_fail_together_with_its_hold(sandbox: SandboxProcess, shop: Shop) -> None:
    payment_id = paid(shop)
    shop.modify(payment_id, "capture", 600, reference=f"cap-{shop.order_id}")
    view = sandbox.revise(f"cap-{shop.order_id}", "fail", keep_hold=False)
    assert (view["payment"]["held_minor"], view["payment"]["status"]) == (0, "expired")
    view = sandbox.revise(f"cap-{shop.order_id}", "succeed")
    assert (view["payment"]["captured_minor"], view["payment"]["held_minor"]) == (600, 0)


@pytest.mark.parametrize("verb", ["void", "refund"])
def test_a_void_or_refund_fails_and_is_reinstated(
    sandbox: SandboxProcess, shop: Shop, verb: str
) -> None:
    payment_id = paid(shop, capture=verb == "refund")
    shop.modify(payment_id, verb, 1000, reference=f"mod-{shop.order_id}")
    before = shop.payment(payment_id)["status"]
    assert sandbox.revise(f"mod-{shop.order_id}", "fail")["status"] == "failed"
    assert shop.payment(payment_id)["status"] in ("authorized", "captured")
    assert sandbox.revise(f"mod-{shop.order_id}", "succeed")["status"] == "succeeded"
    assert shop.payment(payment_id)["status"] == before


def test_a_returned_bank_debit_is_paid_and_then_reversed(
    sandbox: SandboxProcess, shop: Shop
) -> None:
    payment_id = paid(shop, "pm_usBankAccount_returned", capture=True)
    sandbox.advance(3)
    assert shop.payment(payment_id)["status"] == "captured"
    sandbox.advance(3)
    view = shop.payment(payment_id)
    assert (view["status"], view["captured_minor"], view["held_minor"]) == ("failed", 0, 0)
    sandbox.advance(10)
    assert [kind for kind, _ in kinds(sandbox, shop)] == [
        "authorize",
        "capture",
        "capture_failed",
        "authorize_failed",
    ]


def test_tokens_script_late_outcomes(sandbox: SandboxProcess, shop: Shop) -> None:
    reinstated = paid(shop, "pm_card_captureFailsThenSucceeds", capture=True)
    late = Shop(sandbox.base_url)
    assert error_of(late.pay("pm_card_declinedThenPaid", capture=True)) == (402, "card_declined")
    sandbox.advance(3)
    assert shop.payment(reinstated)["status"] == "failed"
    assert kinds(sandbox, late) == [("authorize", 1000), ("capture", 1000)]
    sandbox.advance(3)
    assert shop.payment(reinstated)["status"] == "captured"
    sandbox.advance(3)
    assert shop.payment(reinstated)["status"] == "captured"


def test_a_late_outcome_does_not_happen_again_after_a_kill(own_sandbox: SandboxProcess) -> None:
    shop = Shop(own_sandbox.base_url)
    paid(shop, "pm_card_captureFailsThenSucceeds", capture=True)
    own_sandbox.advance(3)
    own_sandbox.advance(3)
    before = kinds(own_sandbox, shop)
    own_sandbox.kill()
    own_sandbox.start()
    own_sandbox.advance(3)
    assert kinds(own_sandbox, shop) == before


def test_each_late_outcome_has_one_notice_with_an_id_of_its_own(
    sandbox: SandboxProcess, shop: Shop, receiver: Receiver
) -> None:
    shop.request("PUT", "/v1/webhook_endpoint", {"url": receiver.url, "secret": SECRET})
    payment_id = paid(shop)
    shop.modify(payment_id, "capture", 600, reference=f"cap-{shop.order_id}")
    for to in ("fail", "succeed", "fail", "succeed"):
        sandbox.revise(f"cap-{shop.order_id}", to)
    notices = receiver.wait_for(6)
    assert sorted(each.type for each in notices) == [
        "capture.failed",
        "capture.failed",
        "capture.reinstated",
        "capture.reinstated",
        "payment.authorized",
        "payment.captured",
    ]
    assert len({each.notice["id"] for each in notices}) == 6
    shop.request("DELETE", "/v1/webhook_endpoint")


def test_a_leaky_fence_stops_no_charge(sandbox: SandboxProcess, shop: Shop) -> None:
    sandbox.set_behavior(leaky_fences=1)
    fence = shop.request("POST", "/v1/fences", {"reference": f"op-{shop.order_id}"})
    assert fence[1]["operation"] is None
    assert paid(shop)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"reference": "nothing", "to": "fail"}, 404),
        ({"reference": "nothing", "to": "explode"}, 400),
        ({"reference": "nothing", "to": "fail", "more": 1}, 400),
    ],
)
def test_a_malformed_revision_is_refused(
    sandbox: SandboxProcess, body: object, status: int
) -> None:
    with pytest.raises(AssertionError, match=f"answered {status}"):
        sandbox.control("POST", "revision", body)


def test_only_a_succeeded_operation_can_be_reversed_and_only_a_failed_one_succeed(
    sandbox: SandboxProcess, shop: Shop
) -> None:
    paid(shop)
    with pytest.raises(AssertionError, match="not_refused"):
        sandbox.revise(f"op-{shop.order_id}", "succeed")
    sandbox.revise(f"op-{shop.order_id}", "fail")
    with pytest.raises(AssertionError, match="not_succeeded"):
        sandbox.revise(f"op-{shop.order_id}", "fail")
    assert kinds(sandbox, shop) == [("authorize", 1000), ("authorize_failed", 1000)]
