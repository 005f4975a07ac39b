"""A version is answered, or refused with the range that is supported."""

from __future__ import annotations

import pytest

from payments.api.api_versions import NEWEST_VERSION, OLDEST_VERSION
from payments.models import Customer, Event, WebhookEndpoint
from payments.tests.support.api_client import ApiClient, api_of
from payments.tests.support.shop import Shop


@pytest.fixture
def api(shop: Shop) -> ApiClient:
    return api_of(shop)


@pytest.mark.parametrize(
    ("asked", "served"),
    [
        (OLDEST_VERSION, OLDEST_VERSION),
        ("2024-06-20", "2024-06-20"),
        ("2025-03-31.basil", "2025-03-31.basil"),
        (NEWEST_VERSION, NEWEST_VERSION),
        ("2031-01-01.next", NEWEST_VERSION),
    ],
)
def test_the_answer_names_the_version_that_is_served(
    api: ApiClient, asked: str, served: str
) -> None:
    reply = api.post("/v1/customers", headers={"Stripe-Version": asked})
    assert (reply.status, reply.header("Stripe-Version")) == (200, served)
    assert Event.objects.get().api_version == served


@pytest.mark.parametrize("asked", ["2022-08-01", "2019-12-03", "2025-13-01", "2025-02-30.basil"])
def test_one_that_is_too_old_or_no_date_is_refused_with_the_range(
    api: ApiClient, asked: str
) -> None:
    reply = api.post("/v1/customers", headers={"Stripe-Version": asked})
    assert (reply.status, reply.error["code"]) == (400, "api_version_invalid")
    assert f"{OLDEST_VERSION} to {NEWEST_VERSION}" in reply.error["message"]
    assert not Customer.objects.exists()


def test_an_endpoint_is_held_to_the_same_range(api: ApiClient) -> None:
    given = {"url": "https://shop.example/hook", "enabled_events": ["*"]}
    reply = api.post("/v1/webhook_endpoints", **given, api_version="2020-08-27")
    assert (reply.status, reply.error["param"]) == (400, "api_version")
    assert not WebhookEndpoint.objects.exists()
