"""The sandbox adapter holds the contract of notifications, and reads its own vocabulary only."""

from __future__ import annotations

import hashlib
import hmac
import json
import random
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from psp_adapters.contract.adapter import PspAdapter
from psp_adapters.contract.notifications import NotificationRefused
from psp_adapters.sandbox.adapter import SandboxAdapter
from psp_adapters.sandbox.webhook import KNOWN_TYPES, account_of
from psp_adapters.sandbox_psp.server.requests import account_of as account_at_the_psp
from psp_adapters.tests.suites.notification_suite import NOW, SECRET, NotificationContract

API_KEY = "sandbox_notifications"


@pytest.fixture
def adapter() -> Iterator[SandboxAdapter]:
    adapter = SandboxAdapter(base_url="http://127.0.0.1:1", api_key=API_KEY)
    yield adapter
    adapter.close()


def notice(**changes: Any) -> dict[str, Any]:
    return {
        "object": "notice",
        "id": "sev_1",
        "type": "payment.authorized",
        "account": account_of(API_KEY),
        "created_at": "2026-03-01T11:59:59.123Z",
        "data": {"payment_id": "spay_1", "references": ["op_1"]},
        **changes,
    }


class TestSandboxNotifications(NotificationContract):
    signature_header = "Sandbox-Signature"

    def signed(self, body: bytes, *, secret: str = SECRET, at: datetime = NOW) -> dict[str, str]:
        time = str(int(at.timestamp()))
        digest = hmac.new(secret.encode(), time.encode() + b"." + body, hashlib.sha256).hexdigest()
        return {self.signature_header: f"t={time},h1={digest}"}

    def with_signature(self, headers: dict[str, str], signature: str) -> dict[str, str]:
        time = headers[self.signature_header].partition(",")[0]
        return {self.signature_header: f"{time},h1={signature}"}

    def genuine(self, adapter: PspAdapter, **changes: Any) -> bytes:
        return json.dumps(notice(**changes)).encode()

    def bad_headers(self, body: bytes) -> list[dict[str, str]]:
        good = self.signed(body)[self.signature_header]
        time, _, digest = good.partition(",h1=")
        texts = [
            f"{time},{time},h1={digest}",
            f"h1={digest}",
            f"t=nan,h1={digest}",
            f"t=1e9,h1={digest}",
            f"t={'9' * 5000},h1={digest}",
            f"t=-1,h1={digest}",
            f"t=١٢٣,h1={digest}",
            f"{time},h0={digest}",
            f"{time},h1",
            f"{time},h1={digest.upper()}",
            f"{time},{','.join(['h1=' + '0' * 64] * 10_000)},h1={digest}",
            f"{time},{','.join(['h1=' + '0' * 64] * 6)}",
            "," * 900,
        ]
        both = {"Sandbox-Signature": good, "SANDBOX-SIGNATURE": good}
        return [both, *({self.signature_header: text} for text in texts)]

    @pytest.mark.parametrize(
        "changes",
        [
            {"id": ""},
            {"id": 5},
            {"id": "a b"},
            {"id": "x" * 129},
            {"id": "null\x00byte"},
            {"type": None},
            {"created_at": "yesterday"},
            {"created_at": "2026-03-01T12:00:00"},
            {"created_at": 5},
            {"created_at": "0001-01-01T00:00:00+14:00"},
            {"data": []},
            {"data": {"references": "op_1"}},
            {"data": {"references": ["op_1"] * 21}},
            {"data": {"payment_id": 7}},
            {"account": None},
        ],
    )
    def test_a_signed_notice_with_a_wrong_field_is_refused(
        self, adapter: SandboxAdapter, changes: dict[str, Any]
    ) -> None:
        body = self.genuine(adapter, **changes)
        self.refused(adapter, body, self.signed(body))

    def test_references_that_cannot_be_ours_are_left_out(self, adapter: SandboxAdapter) -> None:
        data = {"references": ["order 7 of the old shop", "op_2", "\x00", 5]}
        body = self.genuine(adapter, data=data)
        read = self.read(adapter, body, self.signed(body))
        assert (read.references, read.psp_payment_id) == (("op_2",), "")

    def test_random_requests_are_refused_in_one_way(self, adapter: SandboxAdapter) -> None:
        chance = random.Random(20260301)
        for _ in range(2_000):
            body = chance.randbytes(chance.randrange(60))
            header = chance.randbytes(chance.randrange(120)).decode("latin-1")
            with pytest.raises(NotificationRefused):
                self.read(adapter, body, {self.signature_header: header})

    def test_a_signed_body_with_random_changes_is_read_or_refused(
        self, adapter: SandboxAdapter
    ) -> None:
        chance = random.Random(20260302)
        refused = 0
        for _ in range(2_000):
            body = bytearray(self.genuine(adapter))
            for _ in range(chance.randrange(1, 4)):
                body[chance.randrange(len(body))] = chance.randrange(256)
            try:
                self.read(adapter, bytes(body), self.signed(bytes(body)))
            except NotificationRefused:
                refused += 1
        assert 0 < refused < 2_000


def test_the_adapter_and_the_simulator_name_an_account_alike() -> None:
    assert account_of(API_KEY) == account_at_the_psp(API_KEY)


def test_the_types_that_are_known_are_those_that_the_psp_documents() -> None:
    from pathlib import Path

    text = (Path(__file__).resolve().parents[3] / "docs" / "sandbox-psp.md").read_text()
    assert {type_ for type_ in KNOWN_TYPES if f"`{type_}`" not in text} == set()
