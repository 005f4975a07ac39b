"""The life of a payment, and every class of error, through the official Node SDK."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from payments.tests.http.support import node_sdk
from payments.tests.http.support.storefront import Storefront, Tables, new_order, unknown_id

Run = Callable[..., Any]


@pytest.fixture(scope="session")
def node_folder() -> Path:
    """The scripts with the SDK beside them."""
    return node_sdk.installed()


@pytest.fixture
def run_script(node_folder: Path, storefront: Storefront) -> Run:
    """Run a script as this merchant."""

    def run(script: str, **facts: Any) -> Any:
        known = {"base_url": storefront.server.base_url, "secret_key": storefront.secret_key}
        return node_sdk.run(node_folder, script, {**known, **facts})

    return run


def test_a_payment_is_created_captured_and_refunded(
    storefront: Storefront, run_script: Run
) -> None:
    orders = [new_order() for _ in range(5)]

    steps = run_script("life.mjs", orders=orders)

    statuses = {
        name: steps[name]["status"]
        for name in ("created", "updated", "confirmed", "incremented", "captured_in_part")
    }
    assert statuses == {
        "created": "requires_payment_method",
        "updated": "requires_confirmation",
        "confirmed": "requires_capture",
        "incremented": "requires_capture",
        "captured_in_part": "requires_capture",
    }
    assert (steps["captured"]["status"], steps["captured"]["amount_received"]) == (
        "succeeded",
        8_000,
    )
    charge = steps["retrieved"]["latest_charge"]
    assert [refund["amount"] for refund in charge["refunds"]["data"]] == [3_000]
    assert steps["refunded"]["status"] == "succeeded"
    assert storefront.effects(orders[0]) == [
        ("authorize", 10_000),
        ("increment", 2_000),
        ("capture", 2_000),
        ("capture", 6_000),
        ("refund", 3_000),
    ]
    assert steps["paid_by_customer"]["customer"]["name"] == "Ann Lee"
    assert steps["canceled"]["status"] == "canceled"
    assert storefront.effects(orders[2]) == [("authorize", 10_000), ("void", 10_000)]
    assert steps["challenged"]["next_action"]["redirect_to_url"]["url"]
    replayed = steps["replayed"]
    assert (replayed["same"], replayed["header"], replayed["key"]) == (True, "true", True)
    assert replayed["request_id"].startswith("req_")
    assert replayed["api_version"]
    assert storefront.effects(orders[4]) == [("authorize", 10_000), ("capture", 10_000)]
    assert len(steps["listed"]) == len(set(steps["listed"])) == 5
    assert "payment_intent.requires_action" in steps["events"]
    assert steps["balance"]["pending"][0]["amount"] == 8_000 - 3_000 + 10_000 + 10_000
    assert steps["deleted"]["deleted"] is True


def test_every_refusal_is_the_class_that_merchants_catch(
    storefront: Storefront, run_script: Run, tables: Tables
) -> None:
    paid = storefront.pay()
    locked = storefront.pay(capture_method="manual")
    used_key, throttled_order = new_order(), new_order()
    storefront.stripe.v1.payment_intents.create(
        storefront.order(confirm=None), {"idempotency_key": used_key}
    )
    storefront.psp.script({"rate_limit": 1}, times=3, order_id=throttled_order)

    with held_requests(storefront, locked.id) as busy:
        caught = run_script(
            "errors.mjs",
            orders=[new_order(), new_order()],
            unknown_id=unknown_id("pi"),
            paid_id=paid.id,
            locked_id=locked.id,
            used_key=used_key,
            throttled_order=throttled_order,
            **busy,
        )

    got = {name: (each["class"], each["status"], each.get("code")) for name, each in caught.items()}
    invalid = "StripeInvalidRequestError"
    assert got == {
        "wrong_key": ("StripeAuthenticationError", 401, None),
        "other_account": ("StripePermissionError", 403, "account_invalid"),
        "missing": (invalid, 400, "parameter_missing"),
        "unknown": (invalid, 400, "parameter_unknown"),
        "not_a_number": (invalid, 400, "parameter_invalid_integer"),
        "too_small": (invalid, 400, "amount_too_small"),
        "no_such": (invalid, 404, "resource_missing"),
        "wrong_state": (invalid, 400, "payment_intent_unexpected_state"),
        "declined": ("StripeCardError", 402, "card_declined"),
        "other_request": ("StripeIdempotencyError", 400, None),
        "in_flight": ("StripeAPIError", 409, "idempotency_key_in_use"),
        "locked": ("StripeRateLimitError", 429, "lock_timeout"),
        "psp_unavailable": ("StripeAPIError", 503, "psp_unavailable"),
    }
    assert {each["request_id"][:4] for each in caught.values()} == {"req_"}
    assert caught["unknown"]["param"] == "ammount"
    assert caught["wrong_state"]["payment_intent"] == "succeeded"
    assert caught["declined"]["decline_code"] == "lost_card"
    assert caught["declined"]["payment_intent"] == "requires_payment_method"
    for name in ("in_flight", "locked", "psp_unavailable"):
        assert caught[name]["should_retry"] == "true"


def test_the_sdk_retries_by_itself_a_request_that_was_not_sent_to_the_psp(
    storefront: Storefront, run_script: Run
) -> None:
    order = new_order()
    storefront.psp.script({"rate_limit": 1}, times=3, order_id=order)
    assert run_script("retry.mjs", orders=[order]) == {"status": "succeeded"}
    assert storefront.effects(order) == [("authorize", 10_000), ("capture", 10_000)]


@contextmanager
def held_requests(storefront: Storefront, intent_id: str) -> Iterator[dict[str, str]]:
    """A create and a capture whose answers the PSP holds back until the block ends."""
    busy_order, busy_key = new_order(), new_order()
    captured_order, storefront.order_id = storefront.order_id, busy_order
    intents, psp = storefront.stripe.v1.payment_intents, storefront.psp
    psp.script({"hold": True}, order_id=busy_order)
    psp.script({"hold": True}, order_id=captured_order, kind="capture")
    with ThreadPoolExecutor(2) as executor:
        create = executor.submit(intents.create, storefront.order(), {"idempotency_key": busy_key})
        capture = executor.submit(intents.capture, intent_id)
        psp.wait_for(order_id=busy_order, kind="capture")
        psp.wait_for(order_id=captured_order, kind="capture")
        try:
            yield {"busy_order": busy_order, "busy_key": busy_key}
        finally:
            psp.release()
        assert (create.result(30).status, capture.result(30).status) == ("succeeded", "succeeded")


def test_without_node_a_test_is_skipped_or_fails_where_node_is_required(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(node_sdk.REQUIRED, raising=False)
    with pytest.raises(pytest.skip.Exception, match="node is not installed"):
        node_sdk.installed()
    monkeypatch.setenv(node_sdk.REQUIRED, "required")
    with pytest.raises(pytest.fail.Exception, match="required, and node is not installed"):
        node_sdk.installed()
