"""Idempotency keys: one answer for ever, for one request of one merchant."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.db import IntegrityError

from payments.clock import now_utc
from payments.exceptions import IdempotencyKeyReused
from payments.models import IdempotencyKey, Operation, PaymentIntent
from payments.services.automatic_actions.retention import purge_old_idempotency_keys
from payments.tests.support.shop import Shop, body_of


def test_a_repeat_gets_the_same_bytes_and_runs_nothing(shop: Shop) -> None:
    caller = shop.caller(key="k")
    first = shop.create(caller=caller)
    second = shop.create(caller=caller)
    assert (second.status, second.body, second.replayed) == (first.status, first.body, True)
    assert PaymentIntent.objects.count() == 1
    assert len(shop.effects("capture")) == 1


def test_a_decline_is_an_answer_and_is_replayed(shop: Shop) -> None:
    caller = shop.caller(key="k")
    first = shop.create(caller=caller, token="pm_card_visa_chargeDeclined")
    second = shop.create(caller=caller, token="pm_card_visa_chargeDeclined")
    assert (first.status, second.status, second.body) == (402, 402, first.body)
    assert Operation.objects.count() == 1


def test_the_same_key_with_another_request_is_refused(shop: Shop) -> None:
    shop.create(caller=shop.caller(key="k", body={"amount": 10_000}))
    with pytest.raises(IdempotencyKeyReused):
        shop.create(20_000, caller=shop.caller(key="k", body={"amount": 20_000}))
    assert PaymentIntent.objects.count() == 1


def test_a_key_belongs_to_its_merchant(shop: Shop, other_shop: Shop) -> None:
    first = body_of(shop.create(caller=shop.caller(key="k")))
    second = body_of(other_shop.create(caller=other_shop.caller(key="k")))
    assert first["id"] != second["id"]
    assert first["status"] == second["status"] == "succeeded"


def test_the_stored_answer_is_final_even_if_the_payment_changes(shop: Shop) -> None:
    caller = shop.caller(key="k")
    shop.psp.script({"drop_after": True}, order_id=shop.order_id)
    first = shop.create(caller=caller)
    assert body_of(first)["status"] == "processing"
    shop.settle()
    assert shop.intent(body_of(first)["id"]).status == "CAPTURED"
    assert shop.create(caller=caller).body == first.body


def test_postgresql_refuses_to_change_an_answer(shop: Shop) -> None:
    shop.create(caller=shop.caller(key="k"))
    before = IdempotencyKey.objects.values().get()
    with pytest.raises(IntegrityError, match="answer_is_final"):
        IdempotencyKey.objects.update(answer_body="{}")
    assert IdempotencyKey.objects.values().get() == before


def test_a_refused_request_stores_nothing(shop: Shop) -> None:
    intent = body_of(shop.create(10_000, manual=True))
    with pytest.raises(Exception, match="more than"):
        shop.capture(intent["id"], 20_000, caller=shop.caller(key="k"))
    assert IdempotencyKey.objects.count() == 0
    answer = shop.capture(intent["id"], 5_000, caller=shop.caller(key="k"))
    assert body_of(answer)["status"] == "succeeded"


def test_a_request_waits_for_the_psp_no_longer_than_its_budget(shop: Shop) -> None:
    shop.psp.script({"latency_ms": 1_500}, order_id=shop.order_id)
    caller = shop.caller(key="k", answer_by_monotonic=time.monotonic() + 0.3)
    answer = shop.create(caller=caller)
    assert body_of(answer)["status"] == "processing"
    intent_id = body_of(answer)["id"]
    end = time.monotonic() + 10
    while shop.intent(intent_id).status == "PROCESSING" and time.monotonic() < end:
        time.sleep(0.05)
    assert shop.intent(intent_id).status == "CAPTURED"
    assert shop.create(caller=caller).body == answer.body


def test_old_keys_are_purged_but_never_one_whose_operation_is_open(shop: Shop) -> None:
    shop.create(caller=shop.caller(key="closed"))
    shop.psp.script({"drop_after": True}, order_id="open-order")
    shop.create(caller=shop.caller(key="open"), order_id="open-order")

    assert purge_old_idempotency_keys(now=now_utc() + timedelta(days=401)) == 1
    assert list(IdempotencyKey.objects.values_list("key", flat=True)) == ["open"]
    with pytest.raises(IntegrityError, match="key_in_use"):
        IdempotencyKey.objects.all().delete()
    assert IdempotencyKey.objects.count() == 1


def test_keys_younger_than_the_setting_are_kept(shop: Shop) -> None:
    shop.create(caller=shop.caller(key="young"))
    assert purge_old_idempotency_keys(now=now_utc() + timedelta(days=399)) == 0
    assert IdempotencyKey.objects.count() == 1
