"""Signatures, as the official verifiers judge them: Stripe's SDKs and Standard Webhooks'."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time
from datetime import timedelta
from typing import Any

import pytest
import stripe
from cryptography.fernet import Fernet
from django.conf import settings
from standardwebhooks import Webhook, WebhookVerificationError

from payments import sealing
from payments.models import WebhookEndpoint
from payments.services.merchant_webhooks import endpoints, secrets
from payments.services.merchant_webhooks.secrets import signature_headers
from payments.tests.http.support import node_sdk
from payments.tests.support.listening import (
    MerchantServer,
    ReceivedRequest,
    deliver_all,
    open_endpoint,
    past,
)
from payments.tests.support.shop import Shop


def verified_by_stripe(received: ReceivedRequest, secret: str) -> stripe.Event:
    return stripe.Webhook.construct_event(  # type: ignore[no-untyped-call,no-any-return]
        received.body, received.headers["Stripe-Signature"], secret
    )


def request_of_a_sale(shop: Shop, server: MerchantServer) -> ReceivedRequest:
    before = len(server.requests)
    shop.order_id += "x"
    shop.create(confirm=False)
    deliver_all()
    assert len(server.requests) == before + 1
    return server.requests[-1]


def test_both_schemes_sign_the_same_bytes_as_their_specifications_say() -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    headers = signature_headers(
        body=body,
        event_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        secrets=[secret],
        at_unix_seconds=1614265330,
    )
    # The vector of the Standard Webhooks specification.
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert headers["webhook-timestamp"] == "1614265330"
    expected = hmac.new(secret.encode(), b"1614265330." + body, hashlib.sha256).hexdigest()
    assert headers["Stripe-Signature"] == f"t=1614265330,v1={expected}"


def test_a_secret_is_text_for_one_scheme_and_base64_for_the_other() -> None:
    made = {secrets.new_secret() for _ in range(50)}
    assert len(made) == 50
    for secret in made:
        assert re.fullmatch(r"whsec_[A-Za-z0-9]{32}", secret)
        assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 24


def test_official_verifiers_accept_what_is_sent_and_nothing_else(
    shop: Shop, server: MerchantServer
) -> None:
    _, secret = open_endpoint(shop.merchant, server.url)
    received = request_of_a_sale(shop, server)
    event = verified_by_stripe(received, secret)
    assert (event.object, event.type) == ("event", "payment_intent.created")
    assert Webhook(secret).verify(received.body, received.headers)["id"] == event.id
    other = secrets.new_secret()
    changed = ReceivedRequest(
        received.path, received.headers, received.body.replace(b"10000", b"10001"), received.at
    )
    for wrong, key in ((received, other), (changed, secret)):
        with pytest.raises(stripe.SignatureVerificationError):
            verified_by_stripe(wrong, key)
        with pytest.raises(WebhookVerificationError):
            Webhook(key).verify(wrong.body, wrong.headers)


def test_each_endpoint_has_a_secret_of_its_own(shop: Shop, server: MerchantServer) -> None:
    _, first = open_endpoint(shop.merchant, f"{server.url}/1")
    _, second = open_endpoint(shop.merchant, f"{server.url}/2")
    shop.create(confirm=False)
    deliver_all()
    for received in server.requests:
        own, other = (first, second) if received.path.endswith("1") else (second, first)
        verified_by_stripe(received, own)
        with pytest.raises(stripe.SignatureVerificationError):
            verified_by_stripe(received, other)


def test_while_a_secret_is_exchanged_both_verify_and_then_one(
    shop: Shop, server: MerchantServer
) -> None:
    endpoint, before = open_endpoint(shop.merchant, server.url)
    after = endpoints.rotate_secret(endpoint.id, overlap=timedelta(hours=1))
    received = request_of_a_sale(shop, server)
    assert received.headers["Stripe-Signature"].count("v1=") == 2
    for secret in (before, after):
        verified_by_stripe(received, secret)
        Webhook(secret).verify(received.body, received.headers)
    WebhookEndpoint.objects.update(previous_secret_until=past(0.001))
    received = request_of_a_sale(shop, server)
    verified_by_stripe(received, after)
    Webhook(after).verify(received.body, received.headers)
    with pytest.raises(stripe.SignatureVerificationError):
        verified_by_stripe(received, before)


def test_a_secret_exchanged_without_overlap_signs_no_more(
    shop: Shop, server: MerchantServer
) -> None:
    endpoint, before = open_endpoint(shop.merchant, server.url)
    after = endpoints.rotate_secret(endpoint.id, overlap=timedelta(0))
    received = request_of_a_sale(shop, server)
    verified_by_stripe(received, after)
    assert received.headers["Stripe-Signature"].count("v1=") == 1
    assert before != after


def test_encryption_keys_can_be_exchanged(
    shop: Shop, server: MerchantServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, secret = open_endpoint(shop.merchant, server.url)
    old = settings.SECRETS_ENCRYPTION_KEYS
    new = (Fernet.generate_key().decode(),)
    monkeypatch.setattr(settings, "SECRETS_ENCRYPTION_KEYS", new + old)
    verified_by_stripe(request_of_a_sale(shop, server), secret)
    assert endpoints.reseal_secrets() == 1
    monkeypatch.setattr(settings, "SECRETS_ENCRYPTION_KEYS", new)
    verified_by_stripe(request_of_a_sale(shop, server), secret)
    monkeypatch.setattr(settings, "SECRETS_ENCRYPTION_KEYS", old)
    with pytest.raises(sealing.SealedByAnotherKey):
        sealing.open_sealed(WebhookEndpoint.objects.get().sealed_secret)


def test_the_official_node_sdk_verifies_what_is_sent(shop: Shop, server: MerchantServer) -> None:
    folder = node_sdk.installed()
    endpoint, before = open_endpoint(shop.merchant, server.url)
    after = endpoints.rotate_secret(endpoint.id, overlap=timedelta(hours=1))
    received = request_of_a_sale(shop, server)
    facts: dict[str, Any] = {
        "base_url": "http://127.0.0.1:1",
        "body": received.body.decode(),
        "signature": received.headers["Stripe-Signature"],
        "secrets": [before, after, secrets.new_secret()],
    }
    verdicts = node_sdk.run(folder, "webhook.mjs", facts)
    event_id = received.event["id"]
    assert verdicts == [event_id, event_id, "StripeSignatureVerificationError"]
    assert time.time() - received.at < 300
