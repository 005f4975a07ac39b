"""Payments at the simulator: limits, idempotency keys, fences, expiry, and kills."""

from __future__ import annotations

import http.client
import threading
import time

import pytest

from psp_adapters.tests.support.sandbox_process import SandboxProcess
from psp_adapters.tests.support.shop import Answer, Shop, error_of, kinds


def _wait_for_arrival(sandbox: SandboxProcess, shop: Shop) -> None:
    """Until the simulator has taken a request for the shop's order."""
    end = time.monotonic() + 5
    while not sandbox.calls(order_id=shop.order_id):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_sale_is_two_effects(sandbox: SandboxProcess, shop: Shop) -> None:
    status, operation = shop.pay(capture=True)
    assert status == 200
    effects = sandbox.effects(order_id=shop.order_id)
    assert [each["kind"] for each in effects] == ["authorize", "capture"]
    for effect in effects:
        assert set(effect) == {
            "seq",
            "kind",
            "id",
            "reference",
            "payment_id",
            "order_id",
            "amount_minor",
            "released_minor",
            "fee_minor",
            "interchange_minor",
            "scheme_fee_minor",
            "currency",
            "at",
        }
        assert effect["reference"] == operation["reference"]
    assert effects[0]["seq"] < effects[1]["seq"]


def test_captures_stay_within_what_is_held(sandbox: SandboxProcess, shop: Shop) -> None:
    payment_id = shop.pay()[1]["payment_id"]
    assert shop.modify(payment_id, "capture", 400, final=False)[0] == 200
    refused = shop.modify(payment_id, "capture", 601)
    assert error_of(refused) == (400, "capture_exceeds_authorized")
    assert shop.modify(payment_id, "capture", 100)[0] == 200  # final: 500 are released
    assert error_of(shop.modify(payment_id, "capture", 1)) == (400, "nothing_held")
    view = shop.payment(payment_id)
    assert (view["captured_minor"], view["voided_minor"], view["held_minor"]) == (500, 500, 0)
    assert kinds(sandbox, shop) == [("authorize", 1000), ("capture", 400), ("capture", 100)]


def test_refunds_stay_within_what_was_captured(sandbox: SandboxProcess, shop: Shop) -> None:
    payment_id = shop.pay(capture=True)[1]["payment_id"]
    assert shop.modify(payment_id, "refund", 600)[0] == 200
    assert error_of(shop.modify(payment_id, "refund", 401)) == (400, "refund_exceeds_captured")
    assert shop.modify(payment_id, "refund", 400)[0] == 200
    assert shop.payment(payment_id)["status"] == "refunded"
    assert kinds(sandbox, shop)[2:] == [("refund", 600), ("refund", 400)]


def test_nothing_is_refunded_before_a_capture(sandbox: SandboxProcess, shop: Shop) -> None:
    payment_id = shop.pay()[1]["payment_id"]
    assert error_of(shop.modify(payment_id, "refund", 1)) == (400, "nothing_captured")
    assert kinds(sandbox, shop) == [("authorize", 1000)]


def test_a_void_ends_the_hold(sandbox: SandboxProcess, shop: Shop) -> None:
    payment_id = shop.pay()[1]["payment_id"]
    shop.modify(payment_id, "capture", 300, final=False)
    status, operation = shop.modify(payment_id, "void")
    assert (status, operation["amount_minor"]) == (200, 700)
    for verb in ("capture", "increment", "void"):
        assert shop.modify(payment_id, verb, 1)[0] == 400
    assert kinds(sandbox, shop)[2:] == [("void", 700)]


def test_an_increment_needs_a_hold(sandbox: SandboxProcess, shop: Shop) -> None:
    payment_id = shop.pay()[1]["payment_id"]
    assert shop.modify(payment_id, "increment", 500)[0] == 200
    assert shop.modify(payment_id, "capture", 1500)[0] == 200
    assert shop.modify(payment_id, "increment", 1)[0] == 400
    assert [kind for kind, _ in kinds(sandbox, shop)] == ["authorize", "increment", "capture"]


def test_another_account_sees_nothing(sandbox: SandboxProcess, shop: Shop) -> None:
    _, operation = shop.pay(reference="mine")
    stranger = Shop(sandbox.base_url)
    assert stranger.request("GET", f"/v1/payments/{operation['payment_id']}")[0] == 404
    assert stranger.request("GET", f"/v1/operations/{operation['id']}")[0] == 404
    assert stranger.request("GET", "/v1/operations?reference=mine")[0] == 404
    assert stranger.request("GET", "/v1/operations")[1]["data"] == []
    assert stranger.modify(operation["payment_id"], "capture", 1000)[0] == 404


def test_operations_are_listed_since(shop: Shop) -> None:
    payment_id = shop.pay()[1]["payment_id"]
    shop.modify(payment_id, "capture", 1000)
    first = shop.request("GET", "/v1/operations?limit=1")[1]
    assert (len(first["data"]), first["has_more"]) == (1, True)
    rest = shop.request("GET", f"/v1/operations?after={first['data'][0]['seq']}")[1]
    assert [each["kind"] for each in rest["data"]] == ["capture"]
    assert rest["has_more"] is False


def test_the_first_answer_of_a_key_is_repeated_byte_for_byte(shop: Shop) -> None:
    for token, status in (("pm_card_visa", 200), ("pm_card_chargeDeclined", 402)):
        first = shop.pay(token, reference=f"r-{token}")
        assert first == shop.pay(token, reference=f"r-{token}")
        assert first[0] == status
    mismatch = shop.pay(reference="r-pm_card_visa", minor=5)
    assert error_of(mismatch) == (400, "idempotency_mismatch")


def test_after_the_window_the_same_key_charges_again(own_sandbox: SandboxProcess) -> None:
    shop = Shop(own_sandbox.base_url)
    own_sandbox.set_behavior(idempotency_window_seconds=60)
    first = shop.pay(reference="r", key="k")[1]
    assert shop.pay(reference="r", key="k")[1] == first
    own_sandbox.advance(61)
    second = shop.pay(reference="r", key="k")[1]
    assert first["payment_id"] != second["payment_id"]
    assert len(kinds(own_sandbox, shop)) == 2
    assert len(shop.request("GET", "/v1/operations?reference=r")[1]["data"]) == 2


def test_a_key_in_flight_is_refused(sandbox: SandboxProcess, shop: Shop) -> None:
    sandbox.script({"hold_before": True}, order_id=shop.order_id)
    thread = threading.Thread(target=lambda: shop.pay(reference="r"))
    thread.start()
    _wait_for_arrival(sandbox, shop)
    assert error_of(shop.pay(reference="r")) == (409, "in_flight")
    sandbox.release()
    thread.join()
    assert shop.pay(reference="r")[0] == 200
    assert kinds(sandbox, shop) == [("authorize", 1000)]


def test_a_fence_stops_a_request_that_is_on_its_way(sandbox: SandboxProcess, shop: Shop) -> None:
    sandbox.script({"hold_before": True}, order_id=shop.order_id)
    answers: list[Answer] = []
    thread = threading.Thread(target=lambda: answers.append(shop.pay(reference="r")))
    thread.start()
    _wait_for_arrival(sandbox, shop)
    status, fence = shop.request("POST", "/v1/fences", {"reference": "r"})
    sandbox.release()
    thread.join()
    assert (status, fence["operation"]) == (200, None)
    assert error_of(answers[0]) == (409, "fenced")
    assert kinds(sandbox, shop) == []


@pytest.mark.parametrize("cached", [False, True])
def test_an_error_is_repeated_for_its_key_only_with_cache_errors(
    sandbox: SandboxProcess, shop: Shop, cached: bool
) -> None:
    sandbox.script({"error_after": 1, "cache_errors": cached}, order_id=shop.order_id)
    assert shop.pay(reference="r")[0] == 500
    assert shop.pay(reference="r")[0] == (500 if cached else 200)
    assert kinds(sandbox, shop) == [("authorize", 1000)]


def test_a_held_answer_waits_although_it_happened(sandbox: SandboxProcess, shop: Shop) -> None:
    sandbox.script({"hold": True}, order_id=shop.order_id)
    answers: list[Answer] = []
    thread = threading.Thread(target=lambda: answers.append(shop.pay()))
    thread.start()
    sandbox.wait_for(order_id=shop.order_id, kind="authorize")
    assert answers == []
    assert sandbox.release() == 1
    thread.join()
    assert answers[0][0] == 200


def test_a_new_operation_is_not_found_for_the_configured_lag(own_sandbox: SandboxProcess) -> None:
    shop = Shop(own_sandbox.base_url)
    own_sandbox.set_behavior(not_found_lag_seconds=60)
    operation = shop.pay(reference="r")[1]
    assert shop.request("GET", "/v1/operations?reference=r")[0] == 404
    assert shop.request("GET", f"/v1/operations/{operation['id']}")[0] == 200
    fence = shop.request("POST", "/v1/fences", {"reference": "r"})[1]
    assert fence["operation"]["id"] == operation["id"]
    own_sandbox.advance(61)
    assert shop.request("GET", "/v1/operations?reference=r")[0] == 200


def test_chance_is_repeatable_by_its_seed(sandbox: SandboxProcess) -> None:
    def statuses() -> list[int]:
        sandbox.set_behavior(seed=7, error_before=0.5)
        shop = Shop(sandbox.base_url)
        return [shop.pay()[0] for _ in range(20)]

    first = statuses()
    assert first == statuses()
    assert {200, 500} == set(first)


def test_latency_follows_the_distribution(sandbox: SandboxProcess, shop: Shop) -> None:
    sandbox.set_behavior(latency_ms={"median": 80, "p99": 100}, seed=1)
    began = time.monotonic()
    for _ in range(5):
        assert shop.pay()[0] == 200
    assert time.monotonic() - began > 0.3


def test_a_hold_expires_and_a_sale_does_not(own_sandbox: SandboxProcess) -> None:
    held, sold = Shop(own_sandbox.base_url), Shop(own_sandbox.base_url)
    payment_id = held.pay()[1]["payment_id"]
    sold.pay(capture=True)
    held.modify(payment_id, "capture", 400, final=False)
    own_sandbox.advance(7 * 86_400 + 1)
    assert kinds(own_sandbox, held)[2:] == [("expire", 600)]
    assert error_of(held.modify(payment_id, "capture", 1)) == (400, "nothing_held")
    assert len(kinds(own_sandbox, sold)) == 2


def test_kill_and_restart_keep_everything_that_was_answered(own_sandbox: SandboxProcess) -> None:
    shop = Shop(own_sandbox.base_url)
    first = shop.pay(reference="r1")
    payment_id = first[1]["payment_id"]
    shop.modify(payment_id, "capture", 300, final=False)
    shop.request("POST", "/v1/fences", {"reference": "fenced"})
    pending = Shop(own_sandbox.base_url)
    refunded = pending.pay("pm_card_pendingRefund", capture=True)[1]["payment_id"]
    pending.modify(refunded, "refund", 100)
    own_sandbox.advance(3600)
    before = own_sandbox.effects(), shop.payment(payment_id), pending.payment(refunded)
    own_sandbox.kill()
    own_sandbox.start()
    after = own_sandbox.effects(), shop.payment(payment_id), pending.payment(refunded)
    assert after == before
    assert shop.pay(reference="r1") == first
    assert error_of(shop.pay(reference="fenced")) == (409, "fenced")
    assert own_sandbox.effects() == before[0]


def test_kill_under_load_loses_nothing_that_was_answered(own_sandbox: SandboxProcess) -> None:
    answered: list[str] = []

    def shop_until_it_dies() -> None:
        shop = Shop(own_sandbox.base_url)
        while True:
            try:
                answered.append(shop.pay()[1]["id"])
            except (OSError, http.client.HTTPException):
                return

    threads = [threading.Thread(target=shop_until_it_dies) for _ in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    own_sandbox.kill()
    for thread in threads:
        thread.join()
    own_sandbox.start()
    assert len(answered) > 20
    assert set(answered) <= {each["id"] for each in own_sandbox.effects()}
