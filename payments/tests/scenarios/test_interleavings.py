"""Results that arrive late, out of order, or from a sender whose lease has ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.db import connection

from payments.exceptions import OperationUnderWay
from payments.models import (
    Event,
    IdempotencyKey,
    Merchant,
    Operation,
    PaymentIntent,
    RoutingDecision,
)
from payments.services.outcomes.recording import record_outcome
from payments.services.psp_gateway import accounts, sending
from payments.services.recovery import sweep as recovery_sweep
from payments.services.verification.rebuild import differences
from payments.tests.support.shop import Shop, age_operations, body_of, open_shop
from psp_adapters.contract.operations import Outcome, PspResult, PspUnavailable


def resolve(operation_id: Any) -> None:
    Operation.objects.filter(pk=operation_id).update(lease_until="2000-01-01T00:00:00Z")
    recovery_sweep.resolve_operation(operation_id, actor="job:recovery")


def challenged(shop: Shop, *, manual: bool = False) -> dict[str, Any]:
    intent = body_of(shop.create(token="pm_card_authenticationRequired", manual=manual))
    assert intent["status"] == "requires_action"
    return intent


def unknown_void(shop: Shop, fault: str = "drop_after") -> tuple[str, Operation, Operation]:
    """A challenge whose void is unknown: the intent's id, its charge, its void."""
    intent_id = challenged(shop)["id"]
    shop.psp.script({fault: True}, kind="void")
    assert body_of(shop.cancel(intent_id))["status"] == "processing"
    charge, void = shop.operations(intent_id)
    return intent_id, charge, void


def test_no_second_charge_begins_while_a_void_is_open(shop: Shop) -> None:
    intent_id, charge, void = unknown_void(shop)
    resolve(charge.id)

    assert shop.intent(intent_id).status == "PROCESSING"
    for attempt in (
        lambda: shop.confirm(intent_id, token="pm_card_visa"),
        lambda: shop.cancel(intent_id),
    ):
        with pytest.raises(OperationUnderWay):
            attempt()
    assert list(differences()) == []

    resolve(void.id)
    assert shop.intent(intent_id).status == "CANCELED"
    assert body_of(shop.create())["status"] == "succeeded"
    assert [e["kind"] for e in shop.effects()] == ["authorize", "capture"]
    assert list(differences()) == []


def test_a_void_declined_after_the_challenge_failed_leaves_the_intent_failed(shop: Shop) -> None:
    intent = challenged(shop)
    shop.psp.script({"drop_before": True}, kind="void")
    shop.cancel(intent["id"])
    shop.psp.complete_challenge(intent["next_action"]["redirect_to_url"]["url"], fail=True)
    charge, void = shop.operations(intent["id"])

    resolve(charge.id)
    assert shop.intent(intent["id"]).status == "PROCESSING"
    age_operations(intent["id"], seconds=61)
    resolve(void.id)

    row = shop.intent(intent["id"])
    assert row.status in ("FAILED", "CANCELED")
    assert not Operation.objects.filter(closed_at__isnull=True).exists()
    assert list(differences()) == []


@pytest.mark.parametrize("manual", [True, False])
@pytest.mark.parametrize("first", ["charge", "void"])
def test_a_challenge_completed_before_its_void_arrives_ends_as_at_the_psp(
    shop: Shop, manual: bool, first: str
) -> None:
    intent = challenged(shop, manual=manual)
    shop.psp.complete_challenge(intent["next_action"]["redirect_to_url"]["url"])
    shop.psp.script({"drop_after": True}, kind="void")
    shop.cancel(intent["id"])
    charge, void = shop.operations(intent["id"])

    for operation in (charge, void) if first == "charge" else (void, charge):
        resolve(operation.id)
    age_operations(intent["id"], seconds=61)
    shop.settle()

    kinds = [e["kind"] for e in shop.effects()]
    row = shop.intent(intent["id"])
    assert (kinds, row.status) in [
        (["authorize", "void"], "CANCELED"),
        (["authorize", "capture"], "CAPTURED"),
    ]
    assert not Operation.objects.filter(closed_at__isnull=True).exists()
    assert list(differences()) == []


def paused_sender(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, kind: str
) -> Callable[[Operation], PspResult]:
    """A sender that pauses before its call; when it resumes, the PSP rate-limits it.

    Meanwhile recovery sends the same request, and the answer of that is lost.
    """
    real = sending.send

    def send(operation: Operation, **how: float) -> PspResult:
        monkeypatch.setattr(sending, "send", real)
        shop.psp.script({"drop_after": True}, kind=kind)
        resolve(operation.id)
        shop.psp.script({"rate_limit": True}, times=3, kind=kind)
        return real(operation, **how)

    return send


def test_a_sender_that_outlived_its_lease_does_not_close_the_operation_that_recovery_sent(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = shop.caller(key="k")
    monkeypatch.setattr(sending, "send", paused_sender(shop, monkeypatch, "authorize"))

    answer = shop.create(caller=caller)
    again = shop.create(caller=caller)
    shop.settle()

    assert body_of(answer)["status"] == "processing"
    assert again.body == answer.body
    assert PaymentIntent.objects.get().status == "CAPTURED"
    assert [e["kind"] for e in shop.effects()] == ["authorize", "capture"]


def test_a_sender_that_outlived_its_lease_does_not_send_a_refund_twice(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    intent_id = body_of(shop.create())["id"]
    caller = shop.caller(key="r")
    monkeypatch.setattr(sending, "send", paused_sender(shop, monkeypatch, "refund"))

    shop.refund(intent_id, 4_000, caller=caller)
    shop.refund(intent_id, 4_000, caller=caller)
    shop.settle()

    assert [e["amount_minor"] for e in shop.effects("refund")] == [4_000]
    assert shop.intent(intent_id).amount_refunded_minor == 4_000
    assert list(differences()) == []


def test_a_capture_declined_after_it_was_processing_emits_an_event(shop: Shop) -> None:
    intent_id = body_of(shop.create(manual=True))["id"]
    shop.psp.script({"drop_before": True}, kind="capture")
    assert body_of(shop.capture(intent_id, caller=shop.caller(key="c")))["status"] == "processing"
    shop.psp.script({"decline": {"code": "processing_error"}}, kind="capture")

    shop.settle()

    assert shop.intent(intent_id).status == "AUTHORIZED"
    last = Event.objects.order_by("seq").last()
    assert last is not None
    assert last.type == "payment_intent.amount_capturable_updated"
    assert last.payload["object"]["status"] == "requires_capture"


def test_a_method_saved_with_another_provider_account_is_charged_there(shop: Shop) -> None:
    saved = body_of(shop.create(order_id="first"))["payment_method"]
    other = open_shop(shop.psp).account
    Merchant.objects.filter(pk=shop.merchant.pk).update(test_psp_account=other)
    shop.merchant.refresh_from_db()
    shop.create(order_id="second", token=saved, caller=replace(shop.caller(), psp_account=other))
    charges = Operation.objects.order_by("id")
    assert {each.psp_account_id for each in charges} == {shop.account.id}
    [decision] = RoutingDecision.objects.all()
    assert (decision.charge_id, decision.reason) == (charges[1].id, "method_of_account")
    assert decision.candidates[0] == {
        "account": other.code,
        "reason": "default_account",
        "left_out": "method_of_another_account",
    }


def test_a_late_outcome_without_lease_changes_nothing_after_the_key_was_purged(shop: Shop) -> None:
    intent_id = body_of(shop.create(caller=shop.caller(key="k")))["id"]
    [operation] = shop.operations(intent_id)
    IdempotencyKey.objects.all().delete()
    recorded = record_outcome(
        operation=operation,
        result=PspResult(outcome=Outcome.DECLINED),
        caller=shop.caller(),
    )
    assert not recorded.changed
    assert shop.intent(intent_id).status == "CAPTURED"


def test_the_first_call_of_a_process_holds_no_connection_either(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    intent_id = body_of(shop.create(confirm=False))["id"]
    accounts.forget_accounts()
    held: list[bool] = []
    adapter = type(accounts.adapter_of(shop.account))
    authorize = adapter.authorize

    def watched(self: Any, request: Any, *, deadline_seconds: float) -> PspResult:
        held.append(connection.connection is not None)
        return authorize(self, request, deadline_seconds=deadline_seconds)

    monkeypatch.setattr(adapter, "authorize", watched)
    shop.confirm(intent_id)
    assert held == [False]


def test_a_token_look_up_that_hangs_costs_no_more_than_the_wait_budget(shop: Shop) -> None:
    shop.psp.set_behavior(hang=1.0)
    began = time.monotonic()
    with pytest.raises(PspUnavailable):
        shop.create(token="pm_card_mastercard", caller=shop.caller(answer_by_monotonic=began + 0.3))
    assert time.monotonic() - began < 4
    assert PaymentIntent.objects.count() == 0
