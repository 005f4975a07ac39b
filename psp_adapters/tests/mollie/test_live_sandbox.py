"""The adapter against Mollie's own test mode, for those who have a key of it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from psp_adapters.contract.operations import LookUp, OperationKind, Outcome
from psp_adapters.mollie.adapter import MollieAdapter
from psp_adapters.tests.suites.contract_suite import make_request, send
from psp_adapters.tests.support.receiver import SECRET

KEY = os.environ.get("MOLLIE_TEST_API_KEY", "")
# Mollie refuses addresses that it cannot reach.
WEBHOOK_URL = os.environ.get("MOLLIE_TEST_WEBHOOK_URL", "https://example.org/psp/mollie/webhook")
pytestmark = [
    pytest.mark.live_sandbox,
    pytest.mark.skipif(
        not KEY.startswith("test_"),
        reason="MOLLIE_TEST_API_KEY is not a key of Mollie's test mode",
    ),
]
K = OperationKind


@pytest.fixture
def adapter() -> Iterator[MollieAdapter]:
    adapter = MollieAdapter(api_key=KEY, webhook_url=WEBHOOK_URL, webhook_secret=SECRET)
    yield adapter
    adapter.close()


@pytest.mark.parametrize("method", ["ideal", "bancontact", "paypal", "card"])
def test_a_payment_begins_and_is_found_by_id_and_by_reference(
    adapter: MollieAdapter, method: str
) -> None:
    request = make_request(
        K.AUTHORIZE,
        currency="EUR",
        token=f"method:{method}",
        capture=method != "card",
        order_id=f"order-{uuid.uuid4().hex}",
        return_url="https://example.org/back",
    )
    sent_at = datetime.now(UTC)
    begun, again = send(adapter, request), send(adapter, request)
    assert begun.outcome is Outcome.REQUIRES_ACTION
    assert begun.redirect_url.startswith("https://")
    assert again.psp_id == begun.psp_id, "the same key is the same payment"
    query = LookUp(kind=K.AUTHORIZE, reference=request.reference, sent_at=sent_at)
    found = adapter.look_up(query, deadline_seconds=10)
    assert found is not None
    assert (found.psp_id, found.amount) == (begun.psp_id, request.amount)
    shown = adapter.look_up_payment(begun.psp_id, deadline_seconds=10)
    assert shown is not None
    assert shown.operations[0].reference == request.reference


def test_a_key_is_refused_without_a_decline() -> None:
    other = MollieAdapter(api_key="test_wrong", webhook_url=WEBHOOK_URL, webhook_secret=SECRET)
    request = make_request(
        K.AUTHORIZE, currency="EUR", token="method:ideal", return_url="https://example.org/back"
    )
    assert send(other, request).outcome is Outcome.NOT_SENT
    other.close()
