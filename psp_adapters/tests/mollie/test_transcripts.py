"""The adapter sends what was recorded, and makes of the recorded answers what it made of them.

`transcripts.json` was recorded with Mollie's client against the face of the sandbox PSP, and
scrubbed: signatures of addresses are blanked. A change of the adapter or of the client must leave
the requests as they are.
"""

from __future__ import annotations

import json
import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from ledger.money import Money
from psp_adapters.contract.operations import OperationKind, PspRequest
from psp_adapters.tests.suites.contract_suite import send
from psp_adapters.tests.support.mollie_double import adapter_answered_by

TRANSCRIPTS = json.loads((Path(__file__).parent / "transcripts.json").read_text())


def scrubbed(body: dict[str, Any]) -> dict[str, Any]:
    if "webhookUrl" not in body:
        return body
    url = re.sub(r"signature=[0-9a-f]{64}", "signature=scrubbed", body["webhookUrl"])
    return body | {"webhookUrl": url}


@pytest.mark.parametrize("name", sorted(TRANSCRIPTS))
def test_a_recorded_conversation_is_repeated_word_for_word(name: str) -> None:
    recorded = deepcopy(TRANSCRIPTS[name])
    left = list(recorded["exchanges"])

    def answer(method: str, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        exchange = left.pop(0)
        assert [method, path, scrubbed(body)] == exchange["request"]
        status, view = exchange["answer"]
        return status, view

    adapter, transport = adapter_answered_by(answer)
    given = recorded["request"]
    amount = Money(given.pop("amount"), given.pop("currency"))
    kind = OperationKind(given.pop("kind"))
    result = send(adapter, PspRequest(kind=kind, amount=amount, **given))
    assert left == []
    assert len(transport.requests) == len(recorded["exchanges"])
    said = {
        "outcome": result.outcome.value,
        "psp_id": result.psp_id,
        "psp_payment_id": result.psp_payment_id,
        "amount": result.amount.minor if result.amount else None,
        "code": result.code,
        "decline_code": result.decline_code,
        "redirect_url": result.redirect_url,
    }
    assert said == recorded["result"]


def test_nothing_secret_is_in_the_recordings() -> None:
    text = json.dumps(TRANSCRIPTS)
    for secret in ("live_", "Bearer", "access_", "4242424242424242"):
        assert secret not in text
    assert not re.search(r"signature=[0-9a-f]|test_[0-9a-f]{8}", text)
