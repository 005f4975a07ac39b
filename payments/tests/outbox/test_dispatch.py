"""Every event is queued for dispatch in its own transaction."""

from __future__ import annotations

import pytest
from django.db import transaction

from payments import public_ids
from payments.clock import now_utc
from payments.models import Dispatch, Event
from payments.tests.support.shop import Shop, body_of


def queued() -> set[tuple[object, ...]]:
    return set(Dispatch.objects.values_list("event_id", "aggregateid", "seq"))


def told() -> set[tuple[object, ...]]:
    return set(Event.objects.values_list("id", "aggregateid", "seq"))


def test_each_event_of_a_payment_is_queued_once(shop: Shop) -> None:
    intent_id = body_of(shop.create())["id"]
    shop.refund(intent_id, 1_000)
    assert len(told()) >= 5
    assert queued() == told()


def test_an_event_that_is_rolled_back_is_not_queued(shop: Shop) -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        shop_event = Event.objects.bulk_create([_event(shop)])
        assert Dispatch.objects.filter(pk=shop_event[0].pk).exists()
        raise RuntimeError
    assert queued() == set()


def _event(shop: Shop) -> Event:
    return Event(
        merchant=shop.merchant,
        livemode=False,
        aggregatetype="payment_intent",
        aggregateid=public_ids.new_id(),
        seq=1,
        type="payment_intent.created",
        payload={},
        actor="test",
        created_at=now_utc(),
    )
