"""Adyen's adapter against the face, and the notifications that it was sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import pytest

from psp_adapters.adyen.adapter import AdyenAdapter
from psp_adapters.contract.notifications import Notification, WebhookRequest
from psp_adapters.contract.stored_notifications import SentResponse, StoredNotification
from psp_adapters.sandbox.adapter import SandboxAdapter
from psp_adapters.tests.support.adyen_face import ACCOUNT, API_KEY, HMAC_KEY, AdyenFace
from psp_adapters.tests.support.sandbox_process import SandboxProcess


class Kept:
    """Notifications as the platform stores them, in memory."""

    def __init__(self) -> None:
        self.stored: list[StoredNotification] = []
        self.of_disputes: list[tuple[str, StoredNotification]] = []
        self.responses: list[SentResponse] = []
        self.sales: set[str] = set()

    def keep(self, notifications: Sequence[Notification]) -> None:
        for each in notifications:
            assert each.body is not None
            stored = StoredNotification(
                event_id=each.event_id,
                type=each.type,
                psp_payment_id=each.psp_payment_id,
                reference=each.references[0] if each.references else "",
                occurred_at=each.occurred_at,
                body=each.body,
            )
            self.stored.append(stored)
            self.of_disputes.append((each.psp_dispute_id, stored))

    def about(
        self, *, psp_payment_ids: Sequence[str] = (), references: Sequence[str] = ()
    ) -> Sequence[StoredNotification]:
        return [
            each
            for each in self.stored
            if each.psp_payment_id in psp_payment_ids or each.reference in references
        ]

    def about_disputes(self, psp_dispute_ids: Sequence[str]) -> Sequence[StoredNotification]:
        return [stored for named, stored in self.of_disputes if named in psp_dispute_ids]

    def responses_to(self, psp_dispute_id: str) -> Sequence[SentResponse]:
        return self.responses

    def was_sale(self, reference: str) -> bool:
        return reference in self.sales


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def face(sandbox: SandboxProcess, api_key: str) -> Iterator[AdyenFace]:
    behind = SandboxAdapter(base_url=sandbox.base_url, api_key=api_key)
    with AdyenFace(behind) as face:
        yield face
    behind.close()


@pytest.fixture
def adapter(face: AdyenFace, kept: Kept) -> Iterator[AdyenAdapter]:
    """It is told everything that the face states, at once."""
    adapter = AdyenAdapter(
        api_key=API_KEY,
        merchant_account=ACCOUNT,
        base_url=face.base_url,
        dispute_url=face.dispute_url,
        stored=kept,
    )
    kept.sales = face.sales
    face.listeners.append(
        lambda body: kept.keep(
            adapter.read_notifications(
                WebhookRequest(headers={}, body=body), secrets=[HMAC_KEY], now=datetime.now(UTC)
            )
        )
    )
    yield adapter
    adapter.close()
