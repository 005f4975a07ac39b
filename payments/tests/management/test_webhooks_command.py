"""`manage.py webhooks`: an operator manages endpoints and deliveries."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from payments import sealing
from payments.management.commands import webhooks as command
from payments.models import Delivery, WebhookEndpoint
from payments.services.merchant_webhooks import resend
from payments.states import DeliveryStatus
from payments.tests.support.listening import (
    MerchantServer,
    answering,
    deliver_all,
    make_due,
    ok,
    open_endpoint,
)
from payments.tests.support.shop import Shop


def said(*arguments: str) -> str:
    out = StringIO()
    call_command("webhooks", *arguments, stdout=out)
    return out.getvalue().strip()


def test_an_operator_manages_an_endpoint_and_its_deliveries(
    shop: Shop, server: MerchantServer
) -> None:
    server.answer = answering(410)
    endpoint, before = open_endpoint(shop.merchant, server.url)
    shop.create(confirm=False)
    assert said("status").startswith("1 events are not fanned out yet")
    deliver_all()
    assert f"{endpoint} disabled (gone): 1 pending" in said("status")
    [delivery] = Delivery.objects.all()
    with pytest.raises(CommandError, match="enable it first"):
        said("resend", delivery.public_id)
    assert said("enable", endpoint.public_id) == "enabled"
    assert said("enable", endpoint.public_id).startswith("nothing to do")
    server.answer = ok
    assert said("resend", delivery.public_id) == "due now"
    deliver_all()
    delivery.refresh_from_db()
    assert delivery.status == DeliveryStatus.DELIVERED
    after = said("rotate-secret", endpoint.public_id, "--overlap-hours", "1")
    endpoint.refresh_from_db()
    assert sealing.open_sealed(endpoint.sealed_secret) == after != before
    assert sealing.open_sealed(endpoint.sealed_previous_secret) == before
    with pytest.raises(CommandError, match="two secrets sign already"):
        said("rotate-secret", endpoint.public_id)
    newest = said("rotate-secret", endpoint.public_id, "--overlap-hours", "0")
    endpoint.refresh_from_db()
    assert sealing.open_sealed(endpoint.sealed_secret) == newest != after
    assert (endpoint.sealed_previous_secret, endpoint.previous_secret_until) == ("", None)
    assert said("replay", endpoint.public_id, "--type", "payment_intent.*").startswith("1 events")
    server.answer = answering(500)
    deliver_all()
    make_due()
    deliver_all()
    server.answer = ok
    other, _ = open_endpoint(shop.merchant, server.url)
    assert said("resend-failed", endpoint.public_id, other.public_id).splitlines() == [
        f"1 deliveries to {endpoint.public_id} are due now",
        f"0 deliveries to {other.public_id} are due now",
    ]
    deliver_all()
    assert {each.status for each in Delivery.objects.all()} == {DeliveryStatus.DELIVERED}
    assert said("reseal-secrets").startswith("2 endpoints")


def test_a_long_replay_says_how_far_it_is(
    shop: Shop, server: MerchantServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "_REPORT_EVERY", 2)
    monkeypatch.setattr(resend, "PER_TRANSACTION", 2)
    endpoint, _ = open_endpoint(shop.merchant, server.url)
    for number in range(3):
        shop.create(order_id=f"order-{number}", confirm=False)
    first, last = said("replay", endpoint.public_id, "--all").splitlines()
    assert first.startswith("2 so far, up to --since 20")
    assert last == "3 events are replayed"
    again = said("replay", endpoint.public_id, "--since", first.split()[-1])
    assert again.endswith("events are replayed")


def test_ambiguous_or_invalid_arguments_are_refused(shop: Shop, server: MerchantServer) -> None:
    endpoint, _ = open_endpoint(shop.merchant, server.url)
    shop.create()
    before = list(WebhookEndpoint.objects.values())
    for arguments, refusal in (
        (("replay", endpoint.public_id), "give --since"),
        (("replay", "we_nothing", "--all"), "no such endpoint"),
        (("rotate-secret", shop.merchant.public_id), "no such endpoint"),
        (("resend", endpoint.public_id), "no such delivery"),
        (("resend-failed", endpoint.public_id, "we_nothing"), "no such endpoint"),
        (("enable", "we_" + "A" * 22), "no such endpoint"),
    ):
        with pytest.raises(CommandError, match=refusal):
            said(*arguments)
    assert list(WebhookEndpoint.objects.values()) == before
    assert not Delivery.objects.exists()
