"""/v1/webhook_endpoints, and the delivery state that events show."""

from __future__ import annotations

from typing import Any

import pytest
import stripe
from cryptography.fernet import Fernet
from django.conf import settings

from payments import public_ids
from payments.event_types import EMITTED
from payments.models import Delivery, IdempotencyKey, WebhookEndpoint
from payments.services.merchant_webhooks import endpoints, resend
from payments.services.merchant_webhooks.fan_out import fan_out_due
from payments.states import DeliveryStatus
from payments.tests.egress.test_url_policy import HOSTS, NOT_URLS, PORTS
from payments.tests.objects.test_objects import keys_of
from payments.tests.support.api_client import ApiClient, api_of
from payments.tests.support.listening import answering, deliver_all, listening, open_endpoint, past
from payments.tests.support.shop import Shop, body_of

URL = "https://hooks.example.com/in"
PATH = "/v1/webhook_endpoints"


@pytest.fixture
def api(shop: Shop) -> ApiClient:
    return api_of(shop)


def created(api: ApiClient, **params: Any) -> dict[str, Any]:
    reply = api.post(PATH, **{"url": URL, "enabled_events": ["*"], **params})
    assert reply.status == 200, reply.body
    return reply.body


def test_an_endpoint_is_made_and_its_secret_shown_once(api: ApiClient) -> None:
    made = created(api, description="shop", metadata={"a": "b"}, enabled_events=["charge.*", "*"])
    secret = made.pop("secret")
    assert secret.startswith("whsec_")
    assert made["enabled_events"] == ["charge.*", "*"]
    assert (made["object"], made["status"], made["livemode"]) == (
        "webhook_endpoint",
        "enabled",
        False,
    )
    assert api.get(f"{PATH}/{made['id']}").body == made
    assert api.get(PATH).body["data"] == [made]
    expected = keys_of(stripe.WebhookEndpoint) - {"deleted", "secret"} | {"delivery_order"}
    assert set(made) == expected


def test_a_repeat_is_answered_with_the_same_bytes_and_nowhere_is_the_secret_in_clear(
    api: ApiClient,
) -> None:
    params = {"url": URL, "enabled_events": ["*"]}
    first = api.post(PATH, key="once", **params)
    again = api.post(PATH, key="once", **params)
    assert first.response.content == again.response.content
    assert again.header("Idempotent-Replayed") == "true"
    assert WebhookEndpoint.objects.count() == 1
    secret = first.body["secret"]
    [key] = IdempotencyKey.objects.values()
    assert secret not in str(key)
    assert secret not in str(WebhookEndpoint.objects.values().get())


def test_a_repeat_after_the_encryption_keys_were_exchanged_is_answered_without_the_secret(
    api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = {"url": URL, "enabled_events": ["*"]}
    first = api.post(PATH, key="once", **params)
    old = settings.SECRETS_ENCRYPTION_KEYS
    new = (Fernet.generate_key().decode(),)
    monkeypatch.setattr(settings, "SECRETS_ENCRYPTION_KEYS", new + old)
    assert endpoints.reseal_secrets() == 1
    assert api.post(PATH, key="once", **params).body == first.body
    monkeypatch.setattr(settings, "SECRETS_ENCRYPTION_KEYS", new)
    again = api.post(PATH, key="once", **params)
    assert (again.status, again.header("Idempotent-Replayed")) == (200, "true")
    without = {name: value for name, value in first.body.items() if name != "secret"}
    assert again.body == without
    assert WebhookEndpoint.objects.count() == 1


def test_metadata_that_looks_like_a_secret_is_left_alone(api: ApiClient) -> None:
    made = created(api, metadata={"secret": "sealed:x"})
    assert made["metadata"] == {"secret": "sealed:x"}


def test_the_version_is_that_of_the_creating_call_unless_given(api: ApiClient) -> None:
    params = {"url": URL, "enabled_events": ["*"]}
    headers = {"Stripe-Version": "2025-03-31.basil"}
    assert api.post(PATH, headers=headers, **params).body["api_version"] == "2025-03-31.basil"
    assert created(api)["api_version"] == "2026-10-28.endive"
    made = created(api, api_version="2024-09-30.acacia")
    assert made["api_version"] == "2024-09-30.acacia"
    refused = api.post(f"{PATH}/{made['id']}", api_version="2025-03-31.basil")
    assert (refused.status, refused.error["param"]) == (400, "api_version")
    assert api.post(PATH, api_version="newest", **params).status == 400


def test_an_endpoint_is_changed(api: ApiClient) -> None:
    made = created(api, metadata={"a": "1", "b": "2"}, description="old")
    path = f"{PATH}/{made['id']}"
    changed = api.post(
        path,
        url="https://hooks.example.com/new",
        enabled_events=["refund.*"],
        description="",
        metadata={"a": "", "c": "3"},
        disabled=True,
    ).body
    assert "secret" not in changed
    assert changed == {
        **{key: value for key, value in made.items() if key != "secret"},
        "url": "https://hooks.example.com/new",
        "enabled_events": ["refund.*"],
        "description": None,
        "metadata": {"b": "2", "c": "3"},
        "status": "disabled",
    }
    row = WebhookEndpoint.objects.get()
    assert row.disabled_because == "merchant"
    assert api.post(path, disabled=True).body["status"] == "disabled"
    assert api.post(path, disabled=False).body["status"] == "enabled"
    row.refresh_from_db()
    assert (row.disabled_because, row.disabled_at) == ("", None)


def test_a_deleted_endpoint_is_gone(api: ApiClient) -> None:
    made = created(api)
    path = f"{PATH}/{made['id']}"
    assert api.delete(path).body == {
        "id": made["id"],
        "object": "webhook_endpoint",
        "deleted": True,
    }
    for reply in (api.get(path), api.post(path, disabled=True), api.delete(path)):
        assert (reply.status, reply.error["code"]) == (404, "resource_missing")
    assert api.get(PATH).body["data"] == []
    api.pay()
    fan_out_due()
    assert not Delivery.objects.exists()


@pytest.mark.matrix(most=25)
@pytest.mark.parametrize(
    "url",
    [
        *(url for url in NOT_URLS if url),
        *(f"https://{host}/" for host in HOSTS),
        *(f"https://hooks.example.com:{port}/" for port in PORTS),
    ],
)
def test_an_endpoint_with_a_forbidden_url_is_not_registered(api: ApiClient, url: str) -> None:
    made = created(api)
    before = list(WebhookEndpoint.objects.values())
    refused = api.post(PATH, url=url, enabled_events=["*"])
    assert (refused.status, refused.error["param"]) == (400, "url")
    assert refused.error["code"] in ("url_invalid", "parameter_invalid", "card_data_not_allowed")
    refused = api.post(f"{PATH}/{made['id']}", url=url)
    assert (refused.status, refused.error["param"]) == (400, "url")
    assert list(WebhookEndpoint.objects.values()) == before


def test_this_machine_is_registered_in_development_only(
    api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = {"url": "http://127.0.0.1:4242/hook", "enabled_events": ["*"]}
    assert api.post(PATH, **params).status == 400
    monkeypatch.setattr(settings, "WEBHOOK_LOOPBACK", True)
    assert api.post(PATH, **params).status == 200


@pytest.mark.parametrize(
    "events",
    [
        *(["invoice.payed"], ["charge"], ["charge.*.x"], ["*.created"], ["**"], [""], ["CHARGE.*"]),
        *(["payout.*"], ["*", "balance.unavailable"]),
    ],
)
def test_an_endpoint_cannot_subscribe_to_an_unknown_event_type(
    api: ApiClient, events: list[str]
) -> None:
    refused = api.post(PATH, url=URL, enabled_events=events)
    assert refused.status == 400
    assert refused.error["param"].startswith("enabled_events")
    assert not WebhookEndpoint.objects.exists()


def test_an_endpoint_can_subscribe_to_every_event_type_that_is_emitted(api: ApiClient) -> None:
    assert created(api, enabled_events=sorted(EMITTED))["enabled_events"] == sorted(EMITTED)
    assert api.post(PATH, url=URL).error["code"] == "parameter_missing"
    assert api.post(PATH, enabled_events=["*"]).error["code"] == "parameter_missing"


def test_the_number_of_endpoints_of_a_merchant_is_limited(
    api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints, "ENDPOINTS_MAX", 2)
    created(api)
    last = created(api)
    refused = api.post(PATH, url=URL, enabled_events=["*"])
    assert (refused.status, refused.error["code"]) == (400, "webhook_endpoint_limit")
    api.delete(f"{PATH}/{last['id']}")
    created(api)


def test_endpoints_of_other_merchants_do_not_exist(api: ApiClient, other_shop: Shop) -> None:
    theirs = created(api_of(other_shop))
    path = f"{PATH}/{theirs['id']}"
    unknown = public_ids.encode(public_ids.WEBHOOK_ENDPOINT, public_ids.new_id())
    before = list(WebhookEndpoint.objects.values())
    for path in (f"{PATH}/{theirs['id']}", f"{PATH}/{unknown}"):
        for reply in (api.get(path), api.post(path, disabled=True), api.delete(path)):
            assert (reply.status, reply.error["code"]) == (404, "resource_missing")
    assert api.get(PATH).body["data"] == []
    assert list(WebhookEndpoint.objects.values()) == before


def test_an_event_shows_how_many_endpoints_have_not_received_it(
    shop: Shop, other_shop: Shop, api: ApiClient, loopback: None
) -> None:
    with listening() as server, listening(answering(500)) as bad:
        open_endpoint(shop.merchant, server.url)
        open_endpoint(shop.merchant, bad.url, events=("payment_intent.*",))
        open_endpoint(other_shop.merchant, bad.url)
        shop.create(confirm=False)
        [event] = api.get("/v1/events").body["data"]
        assert event["pending_webhooks"] == 2
        deliver_all()
        [event] = api.get("/v1/events").body["data"]
        assert event["pending_webhooks"] == 1
        assert api.get(f"/v1/events/{event['id']}").body == event
        other_shop.create(confirm=False)
        deliver_all()
        assert len(api.get("/v1/events").body["data"]) == 1


def test_events_are_filtered_by_the_success_of_their_deliveries(
    shop: Shop, api: ApiClient, loopback: None
) -> None:
    with listening() as server, listening(answering(500)) as bad:
        open_endpoint(shop.merchant, server.url)
        open_endpoint(shop.merchant, bad.url, events=("charge.*",))
        intent_id = body_of(shop.create())["id"]
        assert intent_id
        deliver_all()
    succeeded = api.get("/v1/events", delivery_success="true").body["data"]
    failed = api.get("/v1/events", delivery_success="false").body["data"]
    assert {each["type"].split(".")[0] for each in succeeded} == {"payment_intent"}
    assert {each["type"].split(".")[0] for each in failed} == {"charge"}
    assert len(succeeded) + len(failed) == len(api.get("/v1/events").body["data"])


def test_delivery_success_is_true_once_every_endpoint_has_accepted_the_event(
    shop: Shop, api: ApiClient, loopback: None
) -> None:
    """Not before the fan-out; and a resend does not change it."""

    def listed(success: str) -> int:
        return len(api.get("/v1/events", delivery_success=success).body["data"])

    with listening() as server, listening(answering(500)) as bad:
        endpoint, _ = open_endpoint(shop.merchant, server.url)
        shop.create(confirm=False)
        assert (listed("true"), listed("false")) == (0, 0)
        deliver_all()
        assert (listed("true"), listed("false")) == (1, 0)
        resend.replay_events(endpoint.id, resend.EventFilter())
        [event] = api.get("/v1/events").body["data"]
        assert (event["pending_webhooks"], listed("true"), listed("false")) == (0, 1, 0)
        other, _ = open_endpoint(shop.merchant, bad.url)
        for _ in range(2):
            resend.replay_events(other.id, resend.EventFilter())
            Delivery.objects.filter(endpoint=other).update(is_ordered=False)
        [event] = api.get("/v1/events").body["data"]
        assert (event["pending_webhooks"], listed("true"), listed("false")) == (1, 0, 1)
        Delivery.objects.filter(endpoint=other).update(
            status=DeliveryStatus.DEAD, next_attempt_at=None, ended_at=past(1)
        )
        [event] = api.get("/v1/events").body["data"]
        assert (event["pending_webhooks"], listed("true"), listed("false")) == (1, 0, 1)
        WebhookEndpoint.objects.filter(pk=other.pk).update(url=server.url)
        resend.replay_events(other.id, resend.EventFilter())
        deliver_all()
        [event] = api.get("/v1/events").body["data"]
        assert (event["pending_webhooks"], listed("true"), listed("false")) == (0, 1, 0)
        Delivery.objects.filter(endpoint=other, status=DeliveryStatus.DELIVERED).update(
            status=DeliveryStatus.PENDING, next_attempt_at=past(1), ended_at=None
        )
        [event] = api.get("/v1/events").body["data"]
        assert event["pending_webhooks"] == 1
        api.delete(f"{PATH}/{other.public_id}")
        [event] = api.get("/v1/events").body["data"]
        assert event["pending_webhooks"] == 0


def test_events_emitted_while_an_endpoint_was_disabled_count_as_success(
    shop: Shop, api: ApiClient, loopback: None
) -> None:
    """No endpoint was to get it: only a replay delivers it, as the guide says."""
    with listening() as server:
        endpoint, _ = open_endpoint(shop.merchant, server.url)
        api.post(f"{PATH}/{endpoint.public_id}", disabled=True)
        shop.create(confirm=False)
        deliver_all()
        api.post(f"{PATH}/{endpoint.public_id}", disabled=False)
        assert api.get("/v1/events", delivery_success="false").body["data"] == []
        assert resend.replay_events(endpoint.id, resend.EventFilter()) == 1
        deliver_all()
        assert server.events() == ["payment_intent.created"]
