"""Events on the stream are CloudEvents 1.0, without secrets."""

from __future__ import annotations

import json

import pytest
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from django.conf import settings

from payments import public_ids
from payments.event_types import ENDPOINT_DISABLED
from payments.models import Event
from payments.services.event_stream.message import SUBJECTS, Unreadable, cloud_event_of, message_of
from payments.services.merchant_webhooks import endpoints
from payments.services.outbox.events import AGGREGATE_TYPES
from payments.tests.event_stream.stage import Stage
from payments.tests.support.listening import open_endpoint, past
from payments.tests.support.shop import Shop, body_of


def test_the_events_of_a_payment_are_cloud_events(shop: Shop) -> None:
    intent = body_of(shop.create(caller=shop.caller("key-1", {}, request_id="req_7")))
    told = list(Event.objects.order_by("seq"))
    for event in told:
        read = JSONFormat().read(CloudEvent, cloud_event_of(event))
        assert (read.get_id(), read.get_specversion()) == (event.public_id, "1.0")
        assert read.get_source() == settings.PUBLIC_BASE_URL
        assert read.get_type() == f"payments.{event.type}"
        assert read.get_subject() == intent["id"]
        assert read.get_time() == event.created_at
        assert read.get_extension("sequence") == f"{event.seq:010d}"
        assert read.get_extension("merchant") == shop.merchant.public_id
        assert read.get_extension("livemode") is False
        assert read.get_extension("actor") == "test"
        assert read.get_extension("correlation") == "req_7"
    assert [event.type for event in told] == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
    ]


def test_the_subject_is_the_public_id_whatever_the_event_is_about(shop: Shop) -> None:
    assert set(SUBJECTS) == set(AGGREGATE_TYPES.values())
    endpoint, _ = open_endpoint(shop.merchant, "https://hooks.example.com/")
    endpoints.disable_failing_endpoint(endpoint.id, because=endpoints.GONE, failing_before=past(1))
    told = Event.objects.get(type=ENDPOINT_DISABLED)
    assert json.loads(cloud_event_of(told))["subject"] == endpoint.public_id
    assert endpoint.public_id.startswith("we_")


def test_the_client_secret_of_an_intent_is_not_published(shop: Shop) -> None:
    shop.create()
    told = Event.objects.get(type="payment_intent.succeeded")
    secret = told.payload["object"]["client_secret"]
    assert secret
    assert secret not in cloud_event_of(told)
    rest = {key: value for key, value in told.payload["object"].items() if key != "client_secret"}
    assert json.loads(cloud_event_of(told))["data"]["object"] == rest


def test_a_message_is_read_back_as_written(shop: Shop) -> None:
    intent_id = body_of(shop.create())["id"]
    shop.refund(intent_id, 100)
    event = Event.objects.get(type="charge.refunded")
    message = message_of(9, cloud_event_of(event))
    assert (message.number, message.event_id, message.type) == (9, event.id, "charge.refunded")
    assert (message.subject, message.sequence) == (intent_id, event.seq)
    assert message.data["previous_attributes"] == {"amount_refunded": 0}


def test_an_event_without_a_request_has_no_correlation(stage: Stage) -> None:
    [event] = stage.write(public_ids.new_id())
    event.request_id, event.actor, event.payload = "", "", {"object": {}}
    read = JSONFormat().read(CloudEvent, cloud_event_of(event))
    assert read.get_extension("correlation") is None
    assert message_of(1, cloud_event_of(event)).sequence == 1


@pytest.mark.parametrize(
    "body", [None, "", "[]", "{", '{"id": "evt_1"}', '{"id": 7}', '{"id": "evt_!"}']
)
def test_a_message_that_is_no_event_of_ours_is_unreadable(body: str | None) -> None:
    with pytest.raises(Unreadable, match="entry 3"):
        message_of(3, body)


def test_a_message_without_its_type_is_unreadable() -> None:
    told = {"id": public_ids.encode("evt", public_ids.new_id()), "subject": "pi_x"}
    with pytest.raises(Unreadable, match="type"):
        message_of(1, json.dumps(told))
