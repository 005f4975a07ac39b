"""Operations in the sandbox PSP's dashboard: by payment or order, with effects and notices."""

from __future__ import annotations

from pathlib import Path

import pytest

from psp_adapters.tests.support.receiver import SECRET, Receiver
from psp_adapters.tests.support.sandbox_process import SandboxProcess
from psp_adapters.tests.support.shop import Shop, kinds


@pytest.fixture
def shop(sandbox: SandboxProcess) -> Shop:
    return Shop(sandbox.base_url)


def pay(shop: Shop, **more: object) -> str:
    status, view = shop.pay(**more)  # type: ignore[arg-type]
    assert status == 200
    identifier: str = view["payment_id"]
    return identifier


def test_an_operation_by_payment_carries_no_reference(sandbox: SandboxProcess, shop: Shop) -> None:
    payment_id = pay(shop)
    made = sandbox.act("capture", payment_id=payment_id, amount_minor=400, final=False)
    assert (made["kind"], made["reference"], made["final"]) == ("capture", "", False)
    last = shop.payment(payment_id)["operations"][-1]
    assert (last["id"], last["reference"]) == (made["id"], "")
    assert kinds(sandbox, shop) == [("authorize", 1000), ("capture", 400)]


def test_an_operation_by_order_is_about_its_newest_payment_and_all_that_is_left(
    sandbox: SandboxProcess, shop: Shop
) -> None:
    first, newest = pay(shop, capture=True), pay(shop, capture=True)
    made = sandbox.act("refund", order_id=shop.order_id, reference="ticket 17")
    assert (made["payment_id"], made["amount_minor"]) == (newest, 1000)
    assert made["reference"] == "ticket 17"
    assert shop.payment(first)["refunded_minor"] == 0


def test_orders_may_have_any_name(sandbox: SandboxProcess, shop: Shop) -> None:
    shop.order_id = f"{shop.order_id} ä?b"
    payment_id = pay(shop)
    made = sandbox.act("void", order_id=shop.order_id)
    assert (made["payment_id"], made["amount_minor"]) == (payment_id, 1000)


@pytest.mark.parametrize(
    ("verb", "body", "said"),
    [
        ("refund", {"amount_minor": 1}, "nothing_captured"),
        ("refund", {}, "nothing_left"),
        ("capture", {"amount_minor": 1001}, "capture_exceeds_authorized"),
        ("capture", {"amount_minor": -1}, "invalid_amount"),
        ("capture", {"amount": 5}, "unknown_field"),
        ("explode", {}, "not_found"),
    ],
)
def test_the_dashboard_refuses_what_the_psp_refuses(
    sandbox: SandboxProcess, shop: Shop, verb: str, body: dict[str, object], said: str
) -> None:
    payment_id = pay(shop)
    with pytest.raises(AssertionError, match=said):
        sandbox.act(verb, payment_id=payment_id, **body)
    assert kinds(sandbox, shop) == [("authorize", 1000)]


def test_an_unknown_payment_is_not_found(sandbox: SandboxProcess) -> None:
    with pytest.raises(AssertionError, match="payment_unknown"):
        sandbox.act("void", payment_id="spay_unknown")
    with pytest.raises(AssertionError, match="payment_unknown"):
        sandbox.act("void", order_id="unknown")


def test_force_captures_and_refunds_more_than_there_is(sandbox: SandboxProcess, shop: Shop) -> None:
    payment_id = pay(shop)
    sandbox.act("void", payment_id=payment_id)
    sandbox.act("capture", payment_id=payment_id, amount_minor=1200, force=True)
    sandbox.act("refund", payment_id=payment_id, amount_minor=1300, force=True)
    view = shop.payment(payment_id)
    assert (view["captured_minor"], view["refunded_minor"], view["held_minor"]) == (1200, 1300, 0)


def test_an_expired_payment_says_when_and_how_much(sandbox: SandboxProcess, shop: Shop) -> None:
    payment_id = pay(shop, token="pm_card_authorizationExpiresNow")
    assert shop.payment(payment_id)["expired_at"] is None
    sandbox.advance(3)
    view = shop.payment(payment_id)
    assert (view["status"], view["expired_minor"]) == ("expired", 1000)
    assert view["expired_at"] == view["expires_at"]


def test_operations_and_expiries_have_notices_and_survive_a_kill(tmp_path: Path) -> None:
    with SandboxProcess(tmp_path / "truth.sqlite3") as sandbox, Receiver() as receiver:
        shop = Shop(sandbox.base_url)
        shop.request("PUT", "/v1/webhook_endpoint", {"url": receiver.url, "secret": SECRET})
        payment_id = pay(shop)
        sandbox.act("capture", payment_id=payment_id, amount_minor=400, final=False)
        sandbox.kill()
        sandbox.start()
        sandbox.act("void", payment_id=payment_id)
        wanted = {"payment.authorized", "payment.captured", "payment.voided"}
        receiver.wait_until(lambda all_: wanted <= {each.type for each in all_})
        by_type = {each.type: each.notice["data"] for each in receiver.deliveries}
        assert by_type["payment.captured"]["references"] == []
        assert by_type["payment.voided"]["payment_id"] == payment_id
        assert len(by_type["payment.authorized"]["references"]) == 1
        status, found = shop.request("GET", "/v1/operations?after=0")
        assert status == 200
        assert [each["kind"] for each in found["data"]] == ["authorize", "capture", "void"]
