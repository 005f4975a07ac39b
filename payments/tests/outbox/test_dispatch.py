"""Every event is queued for dispatch in its own transaction."""

from __future__ import annotations

import pytest
from django.db import transaction

from payments import public_ids
from payments.clock import now_utc
from payments.models import Dispatch, Event, UnnumberedEvent
from payments.tests.support.listening import open_endpoint
from payments.tests.support.shop import Shop, body_of


def queued() -> set[tuple[object, ...]]:
    """What is to be fanned out; the same events are to be numbered."""
    rows = set(Dispatch.objects.values_list("event_id", "aggregateid", "seq"))
    assert set(UnnumberedEvent.objects.values_list("event_id", flat=True)) == {r[0] for r in rows}
    return rows


def told() -> set[tuple[object, ...]]:
    return set(Event.objects.values_list("id", "aggregateid", "seq"))


def test_each_event_of_a_payment_is_queued_once(shop: Shop) -> None:
    open_endpoint(shop.merchant, "http://127.0.0.1:1/hook")
    intent_id = body_of(shop.create())["id"]
    shop.refund(intent_id, 1_000)
    assert len(told()) >= 5
    assert queued() == told()


def test_an_event_that_is_rolled_back_is_not_queued(shop: Shop) -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        shop_event = Event.objects.bulk_create([_event(shop)])
        assert UnnumberedEvent.objects.filter(pk=shop_event[0].pk).exists()
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
