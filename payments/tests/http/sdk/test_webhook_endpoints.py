"""Webhook endpoints through the official SDKs, as a merchant's set-up script makes them."""

from __future__ import annotations

import pytest
import stripe

from payments.tests.http.support import node_sdk
from payments.tests.http.support.storefront import Storefront

URL = "https://hooks.example.com/in"


def test_the_python_sdk_makes_changes_lists_and_deletes_endpoints(storefront: Storefront) -> None:
    api = storefront.stripe.v1.webhook_endpoints
    made = api.create(
        {
            "url": URL,
            "enabled_events": ["payment_intent.succeeded", "charge.refunded"],
            "description": "The shop",
            "metadata": {"environment": "test"},
        }
    )
    assert made.secret is not None
    assert made.secret.startswith("whsec_")
    assert (made.status, made.api_version) == ("enabled", stripe.api_version)
    changed = api.update(made.id, {"disabled": True, "enabled_events": ["*"], "description": ""})
    assert (changed.status, changed.enabled_events) == ("disabled", ["*"])
    assert changed.description is None
    assert api.retrieve(made.id).to_dict() == changed.to_dict()
    others = [api.create({"url": URL, "enabled_events": ["*"]}).id for _ in range(3)]
    listed = [each.id for each in api.list({"limit": 2}).auto_paging_iter()]
    assert listed == [*reversed(others), made.id]
    assert api.delete(made.id).deleted is True
    with pytest.raises(stripe.InvalidRequestError) as gone:
        api.retrieve(made.id)
    assert gone.value.code == "resource_missing"


def test_a_refusal_names_the_parameter(storefront: Storefront) -> None:
    api = storefront.stripe.v1.webhook_endpoints
    for url in ("http://hooks.example.com/", "https://169.254.169.254/", "https://localhost/"):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            api.create({"url": url, "enabled_events": ["*"]})
        assert (refused.value.param, refused.value.code) == ("url", "url_invalid")
    assert api.list().data == []


def test_the_node_sdk_makes_and_deletes_an_endpoint(storefront: Storefront) -> None:
    folder = node_sdk.installed()
    facts = {
        "base_url": storefront.server.base_url,
        "secret_key": storefront.secret_key,
        "url": URL,
    }
    done = node_sdk.run(folder, "webhook_endpoints.mjs", facts)
    assert done["made"]["secret"].startswith("whsec_")
    assert done["made"]["api_version"] == done["version"]
    assert done["updated"]["status"] == "disabled"
    assert done["listed"] == [done["made"]["id"]]
    assert done["deleted"] is True
