"""The sandbox PSP's notices: signed, sent at least once, with faults on command."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from psp_adapters.contract.notifications import Notification, NotificationRefused, WebhookRequest
from psp_adapters.sandbox.adapter import SandboxAdapter
from psp_adapters.tests.support.receiver import SECRET, Delivery, Receiver
from psp_adapters.tests.support.sandbox_process import SandboxProcess
from psp_adapters.tests.support.shop import Shop


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def shop(sandbox: SandboxProcess, receiver: Receiver) -> Iterator[Shop]:
    """A shop with a webhook endpoint."""
    shop = Shop(sandbox.base_url)
    subscribe(shop, receiver)
    yield shop
    shop.request("DELETE", "/v1/webhook_endpoint")


def subscribe(shop: Shop, receiver: Receiver, secret: str = SECRET) -> None:
    body = {"url": receiver.url, "secret": secret}
    status, _ = shop.request("PUT", "/v1/webhook_endpoint", body)
    assert status == 200


def read(shop: Shop, delivery: Delivery, *secrets: str) -> Notification:
    adapter = SandboxAdapter(base_url="http://127.0.0.1:1", api_key=shop.api_key)
    [found] = adapter.read_notifications(
        WebhookRequest(headers=delivery.headers, body=delivery.body),
        secrets=secrets or (SECRET,),
        now=datetime.now(UTC),
    )
    return found


def is_genuine(shop: Shop, delivery: Delivery) -> bool:
    try:
        read(shop, delivery)
    except NotificationRefused:
        return False
    return True


def test_a_payment_has_notices_from_authorization_to_refund(shop: Shop, receiver: Receiver) -> None:
    _, paid = shop.pay(minor=1000, reference="op-authorize")
    for verb, minor in (("increment", 500), ("capture", 1200), ("refund", 200)):
        assert shop.modify(paid["payment_id"], verb, minor)[0] == 200
    deliveries = receiver.wait_for(4)

    assert Counter(receiver.types()) == Counter(
        ["payment.authorized", "payment.incremented", "payment.captured", "payment.refunded"]
    )
    first = next(each for each in deliveries if each.type == "payment.authorized")
    notification = read(shop, first)
    assert notification.known
    assert notification.references == ("op-authorize",)
    assert notification.psp_payment_id == paid["payment_id"]


@pytest.mark.parametrize(
    ("token", "more", "types"),
    [
        ("pm_card_visa", {"capture": True}, ["payment.authorized", "payment.captured"]),
        ("pm_card_chargeDeclined", {}, ["payment.declined"]),
        ("pm_card_threeDSecureRequired", {}, ["challenge.required"]),
        ("pm_card_unknownThenPaid", {}, ["payment.authorized"]),
    ],
)
def test_each_result_of_a_charge_has_notices(
    shop: Shop, receiver: Receiver, token: str, more: dict[str, bool], types: list[str]
) -> None:
    if "unknown" in token:
        with pytest.raises(ConnectionError):
            shop.pay(token, **more)
    else:
        shop.pay(token, **more)
    receiver.wait_for(len(types))
    assert Counter(receiver.types()) == Counter(types)


@pytest.mark.parametrize(
    ("fail", "types"),
    [
        (False, ["challenge.required", "challenge.completed", "payment.authorized"]),
        (True, ["challenge.required", "challenge.failed", "payment.declined"]),
    ],
)
def test_the_end_of_a_challenge_has_a_notice(
    shop: Shop, sandbox: SandboxProcess, receiver: Receiver, fail: bool, types: list[str]
) -> None:
    _, paid = shop.pay("pm_card_threeDSecureRequired")
    sandbox.complete_challenge(paid["challenge_url"], fail=fail)
    receiver.wait_for(3)
    assert Counter(receiver.types()) == Counter(types)


def test_a_voided_challenge_and_a_voided_hold_have_notices(shop: Shop, receiver: Receiver) -> None:
    _, challenged = shop.pay("pm_card_threeDSecureRequired")
    shop.modify(challenged["payment_id"], "void")
    _, held = shop.pay()
    shop.modify(held["payment_id"], "void")
    receiver.wait_for(5)
    types = ["challenge.required", "payment.canceled", "payment.authorized"]
    assert Counter(receiver.types()) == Counter([*types, "payment.voided", "payment.voided"])


def test_scheduled_effects_send_notices_without_a_request(
    shop: Shop, sandbox: SandboxProcess, receiver: Receiver
) -> None:
    sandbox.set_behavior(settle_delay_seconds=0.3)
    shop.pay("pm_usBankAccount_success", capture=True)
    shop.pay("pm_usBankAccount_fail", capture=True)
    shop.pay("pm_card_authorizationExpiresNow")
    _, refunded = shop.pay("pm_card_refundFail", capture=True)
    shop.modify(refunded["payment_id"], "refund", 100)
    _, slow = shop.pay("pm_card_pendingRefund", capture=True)
    shop.modify(slow["payment_id"], "refund", 100)

    receiver.wait_until(
        lambda deliveries: (
            {"payment.settled", "payment.expired", "refund.failed", "refund.settled"}
            <= {each.type for each in deliveries}
            and len(deliveries) >= 17
        )
    )
    types = Counter(receiver.types())
    assert types["payment.pending"] == 2
    assert types["payment.declined"] == 1
    assert types["refund.pending"] == 1


def test_a_notice_is_repeated_until_it_is_acknowledged(shop: Shop, receiver: Receiver) -> None:
    receiver.status = 503
    shop.pay()
    receiver.wait_for(2)
    receiver.status = 204
    receiver.wait_for(3)
    time.sleep(1.5)
    assert len({each.body for each in receiver.deliveries}) == 1, "the same bytes at every attempt"
    assert len(receiver.deliveries) <= 4, "acknowledged, and not sent again"


def test_a_notice_is_sent_once_its_receiver_is_reachable(sandbox: SandboxProcess) -> None:
    with Receiver() as gone:
        pass
    shop = Shop(sandbox.base_url)
    subscribe(shop, gone)
    shop.pay()
    with Receiver() as receiver:
        subscribe(shop, receiver)
        receiver.wait_for(1)
        shop.request("DELETE", "/v1/webhook_endpoint")


def test_a_kill_loses_no_notice(own_sandbox: SandboxProcess, receiver: Receiver) -> None:
    shop = Shop(own_sandbox.base_url)
    receiver.status = 500
    subscribe(shop, receiver)
    for _ in range(20):
        shop.pay(capture=True)
    own_sandbox.kill()
    before = {each.notice["id"]: each.body for each in receiver.deliveries}
    receiver.deliveries.clear()
    receiver.status = 200
    own_sandbox.start()

    receiver.wait_until(lambda all_: len({each.notice["id"] for each in all_}) == 40)
    after = {each.notice["id"]: each.body for each in receiver.deliveries}
    assert before.items() <= after.items(), "the same bytes after a restart"
    end = time.monotonic() + 5
    while own_sandbox.control("GET", "webhooks")["open"]:
        assert time.monotonic() < end
    own_sandbox.stop()
    receiver.deliveries.clear()
    own_sandbox.start()
    time.sleep(0.5)
    assert receiver.deliveries == [], "what was acknowledged stays so"


def test_notices_are_lost_doubled_and_delayed_on_command(
    shop: Shop, sandbox: SandboxProcess, receiver: Receiver
) -> None:
    sandbox.set_behavior(webhooks={"lose": 1})
    shop.pay()
    sandbox.set_behavior(webhooks={"double": 1})
    shop.pay(reference="twice")
    deliveries = receiver.wait_for(2)
    assert [each.notice["data"]["references"] for each in deliveries] == [["twice"], ["twice"]]
    assert deliveries[0].body == deliveries[1].body

    sandbox.set_behavior(webhooks={"delay_seconds": [0.5, 0.6]})
    started = time.monotonic()
    shop.pay(reference="late")
    receiver.wait_for(3)
    assert time.monotonic() - started >= 0.5


def test_a_notice_is_delayed_by_days_and_signed_when_it_leaves(
    own_sandbox: SandboxProcess, receiver: Receiver
) -> None:
    shop = Shop(own_sandbox.base_url)
    subscribe(shop, receiver)
    week = 7 * 86_400
    own_sandbox.set_behavior(webhooks={"delay_seconds": [week, week]})
    shop.pay()
    time.sleep(0.3)
    assert receiver.deliveries == []
    own_sandbox.advance(week + 1)
    [delivery] = receiver.wait_until(
        lambda all_: any(each.type == "payment.authorized" for each in all_)
    )[:1]
    assert is_genuine(shop, delivery)


def test_notices_are_reordered_on_command(
    shop: Shop, sandbox: SandboxProcess, receiver: Receiver
) -> None:
    sandbox.set_behavior(webhooks={"reorder": 0.5}, seed=7)
    for number in range(20):
        shop.pay(reference=f"{number:02d}-{shop.order_id}")
    receiver.wait_for(20)
    order = [each.notice["data"]["references"][0] for each in receiver.deliveries]
    assert sorted(order) != order


def test_forged_notices_are_refused_by_the_adapter(
    shop: Shop, sandbox: SandboxProcess, receiver: Receiver
) -> None:
    sandbox.set_behavior(webhooks={"forge": 1}, seed=3)
    for _ in range(12):
        shop.pay()
    deliveries = receiver.wait_for(24)
    genuine = [each for each in deliveries if is_genuine(shop, each)]
    assert len(genuine) == 12
    assert sandbox.control("GET", "webhooks")["forged"] >= 12


def test_a_changed_secret_signs_from_then_on(shop: Shop, receiver: Receiver) -> None:
    shop.pay()
    [old] = receiver.wait_for(1)
    new_secret = "another secret of the tests 987"
    subscribe(shop, receiver, new_secret)
    shop.pay()
    new = receiver.wait_for(2)[1]

    assert read(shop, old, new_secret, SECRET).event_id == old.notice["id"]
    assert read(shop, new, new_secret, SECRET).event_id == new.notice["id"]
    with pytest.raises(NotificationRefused):
        read(shop, old, new_secret)


def test_without_an_endpoint_nothing_is_sent(sandbox: SandboxProcess, receiver: Receiver) -> None:
    shop = Shop(sandbox.base_url)
    subscribe(shop, receiver)
    assert shop.request("DELETE", "/v1/webhook_endpoint") == (
        200,
        {"account": shop.request("GET", "/v1/webhook_endpoint")[1]["account"], "url": ""},
    )
    shop.pay()
    time.sleep(0.3)
    assert receiver.deliveries == []


@pytest.mark.parametrize(
    "body",
    [
        {"url": "https://127.0.0.1/hook", "secret": SECRET},
        {"url": "http://203.0.113.1/hook", "secret": SECRET},
        {"url": "http://127.0.0.1:99999/hook", "secret": SECRET},
        {"url": "http://127.0.0.1/a\r\nX: y", "secret": SECRET},
        {"url": "http://127.0.0.1/hook", "secret": ""},
        {"url": "http://127.0.0.1/hook"},
        {"url": 5, "secret": SECRET},
    ],
)
def test_an_invalid_endpoint_is_refused(sandbox: SandboxProcess, body: dict[str, object]) -> None:
    shop = Shop(sandbox.base_url)
    status, _ = shop.request("PUT", "/v1/webhook_endpoint", body)
    assert status == 400
    assert shop.request("GET", "/v1/webhook_endpoint")[1]["url"] == ""


def test_an_endpoint_needs_the_key_of_an_account(sandbox: SandboxProcess) -> None:
    shop = Shop(sandbox.base_url)
    body = {"url": "http://127.0.0.1:9/", "secret": SECRET}
    headers = {"Authorization": "Bearer unknown"}
    assert shop.request("PUT", "/v1/webhook_endpoint", body, headers=headers)[0] == 401
    assert shop.request("POST", "/v1/webhook_endpoint", body)[0] == 405


@pytest.mark.parametrize(
    "webhooks",
    [
        {"lose": 2},
        {"lose": "often"},
        {"delay_seconds": [5, 1]},
        {"delay_seconds": 5},
        {"delay_seconds": ["1", "2"]},
        {"unheard_of": 1},
    ],
)
def test_invalid_webhook_behavior_is_refused(
    sandbox: SandboxProcess, webhooks: dict[str, object]
) -> None:
    with pytest.raises(AssertionError, match="answered 400"):
        sandbox.set_behavior(webhooks=webhooks)
    assert sandbox.control("GET", "behavior")["webhooks"] == {}
