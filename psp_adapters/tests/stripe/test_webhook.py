"""Stripe's adapter holds the contract of notifications, and reads Stripe's events only."""

from __future__ import annotations

import hashlib
import hmac
import json
import random
from datetime import datetime
from typing import Any

import pytest
import stripe

from ledger.money import Money
from psp_adapters.contract.adapter import PspAdapter
from psp_adapters.contract.notifications import Notification, NotificationRefused, WebhookRequest
from psp_adapters.contract.operations import OperationKind, Outcome
from psp_adapters.stripe.adapter import StripeAdapter
from psp_adapters.tests.suites.notification_suite import NOW, SECRET, NotificationContract
from psp_adapters.tests.support.stripe_double import (
    BASE_URL,
    dispute_view,
    intent_view,
    refund_view,
)

LIVE = StripeAdapter(api_key="sk_live_events", base_url="https://stripe.invalid")


@pytest.fixture(scope="module")
def adapter() -> StripeAdapter:
    return StripeAdapter(api_key="sk_test_events", base_url=BASE_URL)


def event(subject: Any = None, **changes: Any) -> dict[str, Any]:
    return {
        "id": "evt_1",
        "object": "event",
        "type": "payment_intent.amount_capturable_updated",
        "created": int(NOW.timestamp()),
        "livemode": False,
        "data": {"object": intent_view() if subject is None else subject},
    } | changes


def signed(body: bytes, *, secret: str = SECRET, at: datetime = NOW) -> dict[str, str]:
    time = str(int(at.timestamp()))
    digest = hmac.new(secret.encode(), time.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {"Stripe-Signature": f"t={time},v1={digest}"}


class TestStripeNotifications(NotificationContract):
    signature_header = "Stripe-Signature"

    def signed(self, body: bytes, *, secret: str = SECRET, at: datetime = NOW) -> dict[str, str]:
        return signed(body, secret=secret, at=at)

    def with_signature(self, headers: dict[str, str], signature: str) -> dict[str, str]:
        time = headers[self.signature_header].partition(",")[0]
        return {self.signature_header: f"{time},v1={signature}"}

    def genuine(self, adapter: PspAdapter, **changes: Any) -> bytes:
        return json.dumps(event(**changes)).encode()

    def bad_headers(self, body: bytes) -> list[dict[str, str]]:
        good = self.signed(body)[self.signature_header]
        time, _, digest = good.partition(",v1=")
        texts = [
            f"{time},{time},v1={digest}",
            f"v1={digest}",
            f"t=nan,v1={digest}",
            f"t={'9' * 5000},v1={digest}",
            f"t=-1,v1={digest}",
            f"{time},v0={digest}",
            f"{time},v1",
            f"{time},v1={digest.upper()}",
            f"{time},{','.join(['v1=' + '0' * 64] * 6)}",
            "," * 900,
        ]
        both = {"Stripe-Signature": good, "STRIPE-SIGNATURE": good}
        return [both, *({self.signature_header: text} for text in texts)]

    def test_a_signed_body_with_random_changes_is_read_or_refused(
        self, adapter: StripeAdapter
    ) -> None:
        chance = random.Random(20260302)
        refused = 0
        for _ in range(300):
            body = bytearray(self.genuine(adapter))
            for _ in range(chance.randrange(1, 4)):
                body[chance.randrange(len(body))] = chance.randrange(256)
            try:
                self.read(adapter, bytes(body), self.signed(bytes(body)))
            except NotificationRefused:
                refused += 1
        assert 0 < refused < 300


def read(adapter: StripeAdapter, **changes: Any) -> Notification:
    body = json.dumps(event(**changes)).encode()
    request = WebhookRequest(headers=signed(body), body=body)
    [found] = adapter.read_notifications(request, secrets=[SECRET], now=NOW)
    return found


def test_the_sdk_verifies_what_we_verify() -> None:
    """Signed now, since the SDK reads the clock itself."""
    body = json.dumps(event()).encode()
    header = signed(body, at=datetime.now(tz=NOW.tzinfo))["Stripe-Signature"]
    assert stripe.Webhook.construct_event(body, header, SECRET).id == "evt_1"


def test_a_signature_of_the_test_scheme_beside_ours_is_left_out(adapter: StripeAdapter) -> None:
    body = json.dumps(event()).encode()
    headers = {"Stripe-Signature": signed(body)["Stripe-Signature"] + ",v0=" + "0" * 64}
    request = WebhookRequest(headers=headers, body=body)
    [found] = adapter.read_notifications(request, secrets=[SECRET], now=NOW)
    assert found.known


def test_an_event_of_the_other_mode_is_refused(adapter: StripeAdapter) -> None:
    assert read(LIVE, livemode=True).event_id == "evt_1"
    for of_mode, livemode in ((adapter, True), (LIVE, False), (adapter, None)):
        with pytest.raises(NotificationRefused):
            read(of_mode, livemode=livemode)


def test_an_event_of_a_connected_account_needs_that_account() -> None:
    connected = StripeAdapter(api_key="sk_test_events", base_url=BASE_URL, account_id="acct_1")
    assert read(connected, account="acct_1").account == "acct_1"
    with pytest.raises(NotificationRefused):
        read(connected)


SALE = {"status": "succeeded", "capture_method": "automatic", "amount_received": 1000}
CAPTURED = {
    "status": "succeeded",
    "amount_received": 700,
    "metadata": {"reference": "op_1", "op_bbbbbbbbbbbbbbbbbbbbb2": "capture 700"},
}


@pytest.mark.parametrize(
    ("type_", "subject", "stated"),
    [
        (
            "payment_intent.amount_capturable_updated",
            intent_view(),
            (OperationKind.AUTHORIZE, Outcome.SUCCEEDED, "pi_1", 1000, ("op_1",), False),
        ),
        (
            "payment_intent.succeeded",
            intent_view(**SALE),
            (OperationKind.AUTHORIZE, Outcome.SUCCEEDED, "pi_1", 1000, ("op_1",), True),
        ),
        (
            "payment_intent.succeeded",
            intent_view(**CAPTURED),
            (
                OperationKind.CAPTURE,
                Outcome.SUCCEEDED,
                "pi_1",
                700,
                ("op_bbbbbbbbbbbbbbbbbbbbb2",),
                False,
            ),
        ),
        (
            "payment_intent.payment_failed",
            intent_view(status="requires_payment_method"),
            (OperationKind.AUTHORIZE, Outcome.DECLINED, "pi_1", 1000, ("op_1",), False),
        ),
        (
            "refund.updated",
            refund_view(),
            (OperationKind.REFUND, Outcome.SUCCEEDED, "re_1", 400, ("op_3",), False),
        ),
    ],
)
def test_a_final_result_is_stated_in_full(
    adapter: StripeAdapter, type_: str, subject: Any, stated: tuple[Any, ...]
) -> None:
    found = read(adapter, subject=subject, type=type_)
    kind, claims, psp_id, minor, references, is_sale = stated
    assert (found.kind, found.claims, found.psp_id) == (kind, claims, psp_id)
    assert (found.amount, found.references) == (Money(minor, "USD"), references)
    assert (found.is_sale, found.psp_payment_id) == (is_sale, "pi_1")


INCREMENTED = {"reference": "op_1", "op_bbbbbbbbbbbbbbbbbbbbb2": "increment 500"}
TWO_CAPTURES = {
    "reference": "op_1",
    "op_bbbbbbbbbbbbbbbbbbbbb2": "capture 300 more",
    "op_bbbbbbbbbbbbbbbbbbbbb3": "capture 400",
}


@pytest.mark.parametrize(
    ("type_", "subject", "claims"),
    [
        (
            "payment_intent.amount_capturable_updated",
            intent_view(amount=1500, metadata=INCREMENTED),
            None,
        ),
        ("payment_intent.succeeded", intent_view(**CAPTURED | {"metadata": TWO_CAPTURES}), None),
        ("payment_intent.succeeded", intent_view(**CAPTURED | {"metadata": {}}), None),
        ("payment_intent.canceled", intent_view(status="canceled"), None),
        ("payment_intent.requires_action", intent_view(), Outcome.REQUIRES_ACTION),
        ("payment_intent.processing", intent_view(), Outcome.PENDING),
        ("refund.failed", refund_view(status="failed"), Outcome.DECLINED),
        ("charge.captured", {"object": "charge", "payment_intent": "pi_1", "metadata": {}}, None),
        ("payout.paid", {"object": "payout", "id": "po_1"}, None),
    ],
)
def test_what_is_no_single_final_result_is_a_reason_to_look_up(
    adapter: StripeAdapter, type_: str, subject: Any, claims: Outcome | None
) -> None:
    found = read(adapter, subject=subject, type=type_)
    assert (found.kind, found.psp_id, found.amount) == (None, "", None)
    assert found.claims is claims


def test_a_dispute_names_itself_and_its_payment(adapter: StripeAdapter) -> None:
    subject = dispute_view(payment_intent="pi_1")
    found = read(adapter, subject=subject, type="charge.dispute.created")
    assert (found.psp_dispute_id, found.psp_payment_id) == ("dp_1", "pi_1")
    with pytest.raises(NotificationRefused):
        read(adapter, subject=intent_view(), type="charge.dispute.created")
