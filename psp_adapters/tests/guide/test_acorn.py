"""The adapter that was written from docs/writing-an-adapter.md does what every adapter must."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from psp_adapters.contract.adapter import PspAdapter
from psp_adapters.tests.guide.acorn import API_KEY, Acorn
from psp_adapters.tests.guide.adapter import SIGNATURE, AcornAdapter
from psp_adapters.tests.suites.contract_suite import AdapterContract
from psp_adapters.tests.suites.notification_suite import NOW, SECRET, NotificationContract


@pytest.fixture(scope="module")
def acorn() -> Iterator[Acorn]:
    with Acorn() as acorn:
        yield acorn


@pytest.fixture
def adapter(acorn: Acorn) -> Iterator[AcornAdapter]:
    adapter = AcornAdapter(base_url=acorn.base_url, api_key=API_KEY)
    yield adapter
    adapter.close()


class TestAcorn(AdapterContract, NotificationContract):
    good_token = "good"
    declined_token = "says_no"
    challenged_token = "asks"
    unknown_token = "none"
    signature_header = SIGNATURE.header

    def signed(self, body: bytes, *, secret: str = SECRET, at: datetime = NOW) -> dict[str, str]:
        seconds = int(at.timestamp())
        signed = f"{seconds}.".encode() + body
        signature = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
        return {SIGNATURE.header: f"t={seconds},v1={signature}"}

    def with_signature(self, headers: dict[str, str], signature: str) -> dict[str, str]:
        time, _, _ = headers[SIGNATURE.header].partition(",")
        return {SIGNATURE.header: f"{time},v1={signature}"}

    def genuine(self, adapter: PspAdapter, **changes: Any) -> bytes:
        event = {"id": "ev1", "type": "pay.changed", "pay": "pay1", "ref": "op_1", "at": 1}
        event["shop"] = changes.pop("account", "acorn-shop")
        return json.dumps(event | changes).encode()

    def bad_headers(self, body: bytes) -> list[dict[str, str]]:
        good = self.signed(body)[SIGNATURE.header]
        texts = [good.partition(",")[0], good.partition(",")[2], f"t=1,{good}", good * 20]
        return [{SIGNATURE.header: each} for each in texts]


@pytest.mark.parametrize(("api_key", "faults"), [(API_KEY, []), ("another", ["api_key"])])
def test_a_key_that_acorn_does_not_know_is_named(
    acorn: Acorn, api_key: str, faults: list[str]
) -> None:
    given = {"base_url": acorn.base_url, "api_key": api_key, "webhook_secrets": ""}
    adapter = AcornAdapter.from_credentials(given, livemode=False)
    assert [each.name for each in adapter.check_credentials(deadline_seconds=5)] == faults
    adapter.close()
