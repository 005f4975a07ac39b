"""Mollie's notifications: unsigned ones that their address proves, and signed events."""

from __future__ import annotations

import hashlib
import hmac
import json
import random
from datetime import datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from psp_adapters.contract.adapter import PspAdapter
from psp_adapters.contract.notifications import Notification, NotificationRefused, WebhookRequest
from psp_adapters.mollie.adapter import MollieAdapter
from psp_adapters.mollie.webhook import address_of_payment
from psp_adapters.tests.suites.notification_suite import (
    NOW,
    OTHER_SECRET,
    SECRET,
    NotificationContract,
)
from psp_adapters.tests.support.mollie_double import (
    CREATED,
    WEBHOOK_URL,
    adapter_answered,
    chargeback_view,
    payment_view,
    refund_view,
)

BODY = b"id=tr_1"


@pytest.fixture(scope="module")
def adapter() -> MollieAdapter:
    adapter, _ = adapter_answered()
    return adapter


def query_of(reference: str = "op_1", *, secret: str = SECRET) -> str:
    return urlsplit(address_of_payment(WEBHOOK_URL, reference=reference, secret=secret)).query


def read(
    adapter: MollieAdapter, *, query: str | None = None, body: bytes = BODY, **headers: str
) -> Notification:
    request = WebhookRequest(
        headers={name.replace("_", "-"): said for name, said in headers.items()},
        body=body,
        query=query_of() if query is None else query,
    )
    [found] = adapter.read_notifications(request, secrets=[OTHER_SECRET, SECRET], now=NOW)
    return found


def test_an_id_at_the_address_of_a_payment_is_a_reason_to_look_it_up(
    adapter: MollieAdapter,
) -> None:
    found = read(adapter)
    assert (found.psp_payment_id, found.references) == ("tr_1", ("op_1",))
    assert (found.known, found.claims, found.kind, found.amount) == (True, None, None, None)
    assert (found.occurred_at, found.signature_headers) == (NOW, {})


def test_each_delivery_is_an_event_of_its_own(adapter: MollieAdapter) -> None:
    later = NOW.replace(second=1)
    request = WebhookRequest(headers={}, body=BODY, query=query_of())
    ids = {
        adapter.read_notifications(request, secrets=[SECRET], now=now)[0].event_id
        for now in (NOW, later)
    }
    assert len(ids) == 2


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("", BODY),
        ("op=op_1", BODY),
        (query_of(secret="a guess"), BODY),
        (query_of().replace("op_1", "op_2"), BODY),
        (query_of() + "&op=op_2", BODY),
        (query_of("op 1"), BODY),
        (query_of() + "&x" * 1_000, BODY),
        (query_of()[:-1], BODY),
        (urlencode({"op": "op_1", "signature": "ü" * 64}), BODY),
        (query_of(), b""),
        (query_of(), b"id="),
        (query_of(), b"id=re_1"),
        (query_of(), b"id=tr_1&id=tr_2"),
        (query_of(), b"id=tr_" + b"x" * 500),
        (query_of(), b"\xff\xfe"),
        (query_of(), b'{"id": "tr_1"}'),
    ],
    ids=range(16),
)
def test_what_does_not_prove_itself_by_its_address_is_refused(
    adapter: MollieAdapter, query: str, body: bytes
) -> None:
    with pytest.raises(NotificationRefused):
        read(adapter, query=query, body=body)


def test_an_address_does_not_prove_an_event(adapter: MollieAdapter) -> None:
    with pytest.raises(NotificationRefused):
        read(adapter, X_Mollie_Signature="0" * 64)


def event(entity: Any = None, **changes: Any) -> dict[str, Any]:
    return {
        "resource": "event",
        "id": "event_1",
        "type": "payment.paid",
        "entityId": "tr_1",
        "createdAt": CREATED,
        "_embedded": {"entity": payment_view() if entity is None else entity},
    } | changes


class TestMollieEvents(NotificationContract):
    signature_header = "X-Mollie-Signature"

    def signed(self, body: bytes, *, secret: str = SECRET, at: datetime = NOW) -> dict[str, str]:
        return {self.signature_header: hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}

    def with_signature(self, headers: dict[str, str], signature: str) -> dict[str, str]:
        return {self.signature_header: signature}

    def genuine(self, adapter: PspAdapter, **changes: Any) -> bytes:
        if changes.pop("account", None):
            changes["entity"] = payment_view(mode="live")  # Mollie's events name no account.
        return json.dumps(event(**changes)).encode()

    def bad_headers(self, body: bytes) -> list[dict[str, str]]:
        good = self.signed(body)[self.signature_header]
        both = {"X-Mollie-Signature": good, "x-mollie-signature": good}
        return [both, *({self.signature_header: text} for text in (good.upper(), f"{good},{good}"))]

    def test_a_replay_is_recognized_by_its_event(self, adapter: PspAdapter) -> None:
        """Mollie signs no time: an old delivery is one more reason to look."""
        body = self.genuine(adapter)
        read = [self.read(adapter, body, self.signed(body)) for _ in range(2)]
        assert read[0].event_id == read[1].event_id == "event_1"

    def test_the_window_has_two_sides(self, adapter: PspAdapter) -> None:
        pytest.skip("Mollie signs no time")

    def test_the_signature_may_name_its_algorithm(self, adapter: PspAdapter) -> None:
        body = self.genuine(adapter)
        header = f"sha256={self.signed(body)[self.signature_header]}"
        assert self.read(adapter, body, {self.signature_header: header}).known

    def test_a_signed_body_with_random_changes_is_read_or_refused(
        self, adapter: PspAdapter
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


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({}, ("tr_1", ("op_1",), "")),
        (
            {"type": "refund.failed", "entityId": "re_1", "entity": refund_view()},
            ("tr_1", ("op_3",), ""),
        ),
        (
            {"type": "chargeback.received", "entityId": "chb_1", "entity": chargeback_view()},
            ("tr_1", (), "chb_1"),
        ),
        ({"type": "payment.paid", "_embedded": {}}, ("tr_1", (), "")),
        ({"type": "payout.completed", "entityId": "payout_1", "_embedded": {}}, ("", (), "")),
    ],
)
def test_an_event_names_what_is_to_be_looked_up_and_states_nothing(
    adapter: MollieAdapter, changes: dict[str, Any], named: tuple[Any, ...]
) -> None:
    body = json.dumps(event(**changes)).encode()
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    found = read(adapter, query="", body=body, X_Mollie_Signature=signature)
    assert (found.psp_payment_id, found.references, found.psp_dispute_id) == named
    assert (found.claims, found.kind) == (None, None)
