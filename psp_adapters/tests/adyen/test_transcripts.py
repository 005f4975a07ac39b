"""The adapter sends what was recorded, and makes of the recorded answers what it made of them.

`transcripts.json` was recorded with Adyen's library against the face of the sandbox PSP, and
scrubbed: no header is in it but the idempotency key. A change of the adapter or of the library must
leave the requests as they are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from ledger.money import Money
from psp_adapters.adyen.adapter import AdyenAdapter
from psp_adapters.contract.operations import OperationKind, PspRequest
from psp_adapters.http import HttpAnswer
from psp_adapters.tests.adyen.conftest import Kept
from psp_adapters.tests.suites.contract_suite import send
from psp_adapters.tests.support.adyen_face import ACCOUNT

TRANSCRIPTS = json.loads((Path(__file__).parent / "transcripts.json").read_text())


class Recorded:
    """Answers as recorded, in place of the network."""

    def __init__(self, exchanges: list[dict[str, Any]]) -> None:
        self.left = list(exchanges)

    def send(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        headers: Mapping[str, str],
        deadline_seconds: float,
    ) -> HttpAnswer:
        exchange = self.left.pop(0)
        assert [method, path, json, headers.get("Idempotency-Key", "")] == exchange["request"]
        status, view = exchange["answer"]
        return HttpAnswer(status, {}, dumped(view))

    def close(self) -> None:
        """Nothing is open."""


def dumped(view: object) -> bytes:
    return json.dumps(view).encode()


@pytest.mark.parametrize("name", sorted(TRANSCRIPTS))
def test_a_recorded_conversation_is_repeated_word_for_word(name: str) -> None:
    recorded = deepcopy(TRANSCRIPTS[name])
    adapter = AdyenAdapter(
        api_key="key", merchant_account=ACCOUNT, base_url="http://adyen.invalid/v72", stored=Kept()
    )
    network = Recorded(recorded["exchanges"])
    adapter._connection._transport._http = network  # type: ignore[assignment]
    assert said(adapter, recorded["request"]) == recorded["result"]
    assert network.left == []
    adapter.close()


def said(adapter: AdyenAdapter, given: dict[str, Any]) -> dict[str, Any]:
    """What the adapter makes of one request."""
    amount = Money(given.pop("amount"), given.pop("currency"))
    kind = OperationKind(given.pop("kind"))
    result = send(adapter, PspRequest(kind=kind, amount=amount, **given))
    return {
        "outcome": result.outcome.value,
        "psp_id": result.psp_id,
        "psp_payment_id": result.psp_payment_id,
        "amount": result.amount.minor if result.amount else None,
        "code": result.code,
        "decline_code": result.decline_code,
        "redirect_url": result.redirect_url,
    }


def test_nothing_secret_is_in_the_recordings() -> None:
    text = json.dumps(TRANSCRIPTS)
    for secret in ("AQE", "API-Key", "hmacSignature", "4242424242424242", "live"):
        assert secret not in text
    assert not re.search(r"127\.0\.0\.1|sandbox_test_", text)
