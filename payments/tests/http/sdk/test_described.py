"""Answers that the official SDKs receive are held to the reference too."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler

import pytest
import stripe

from payments.tests.http.support import node_sdk
from payments.tests.support.listening import listening, ok
from paymentsite.tests.fixtures import described_answers
from paymentsite.tests.fixtures.described_answers import UndescribedAnswer

KEY = "sk_test_of_no_merchant"


def undescribed(handler: BaseHTTPRequestHandler) -> None:
    ok(handler, b'{"object": "payment_intent", "status": "odd"}')


@pytest.mark.parametrize("sdk", ["python", "node"])
def test_an_answer_that_the_reference_does_not_describe_fails_the_test(
    undescribed_answers_fail: None, sdk: str
) -> None:
    with listening(undescribed) as server:
        base_url = f"http://127.0.0.1:{server.port}"
        with pytest.raises(UndescribedAnswer, match="/v1/payment_intents"):
            if sdk == "python":
                client = stripe.StripeClient(KEY, base_addresses={"api": base_url})
                client.v1.payment_intents.create({"amount": 900, "currency": "usd"})
            else:
                facts = {"base_url": base_url, "secret_key": KEY, "orders": ["1"]}
                node_sdk.run(node_sdk.installed(), "retry.mjs", facts)
    described_answers.forget()
