"""The adapter that was written from docs/writing-an-adapter.md does what every adapter must."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from psp_adapters.contract.adapter import PspAdapter
from psp_adapters.contract.credentials import CredentialsRefused
from psp_adapters.contract.operations import PspUnavailable
from psp_adapters.tests.guide.acorn import API_KEY, Acorn
from psp_adapters.tests.guide.adapter import SIGNATURE, AcornAdapter
from psp_adapters.tests.suites.contract_suite import AdapterContract
from psp_adapters.tests.suites.fault_suite import FaultContract
from psp_adapters.tests.suites.notification_suite import NOW, SECRET, NotificationContract

SHOP = "acorn-shop"
CALLED = {
    "authorize": "pay",
    "capture": "take",
    "void": "drop",
    "refund": "return",
    "look_up": "GET",
}
GUIDE = Path(__file__).parents[3] / "docs" / "writing-an-adapter.md"


@pytest.fixture(scope="module")
def acorn() -> Iterator[Acorn]:
    with Acorn() as acorn:
        yield acorn


@pytest.fixture
def adapter(acorn: Acorn) -> Iterator[AcornAdapter]:
    adapter = AcornAdapter(base_url=acorn.base_url, api_key=API_KEY, shop=SHOP)
    yield adapter
    adapter.close()


class TestAcorn(AdapterContract, FaultContract):
    good_token = "good"
    declined_token = "says_no"
    challenged_token = "asks"
    unknown_token = "none"

    @pytest.fixture(autouse=True)
    def _double(self, acorn: Acorn) -> Iterator[None]:
        self.acorn = acorn
        with ExitStack() as self.at_the_end:
            yield

    def drop_answer(self, kind: str, order_id: str, *, after: bool) -> None:
        self.acorn.drop_next(CALLED[kind], after=after)

    def answer_challenge(self, redirect_url: str, psp_payment_id: str, *, fail: bool) -> None:
        self.acorn.answer_challenge(psp_payment_id, fail=fail)

    def adapter_of(self, *, base_url: str = "", api_key: str = "") -> AcornAdapter:
        address, key = base_url or self.acorn.base_url, api_key or API_KEY
        adapter = AcornAdapter(base_url=address, api_key=key, shop=SHOP)
        self.at_the_end.callback(adapter.close)
        return adapter


class TestNotifications(NotificationContract):
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
        event["shop"] = changes.pop("account", SHOP)
        return json.dumps(event | changes).encode()

    def bad_headers(self, body: bytes) -> list[dict[str, str]]:
        good = self.signed(body)[SIGNATURE.header]
        texts = [good.partition(",")[0], good.partition(",")[2], f"t=1,{good}", good * 20]
        return [{SIGNATURE.header: each} for each in texts]


@pytest.mark.parametrize(("api_key", "faults"), [(API_KEY, []), ("another", ["api_key"])])
def test_a_key_that_acorn_does_not_know_is_named(
    acorn: Acorn, api_key: str, faults: list[str]
) -> None:
    adapter = AcornAdapter(base_url=acorn.base_url, api_key=api_key, shop=SHOP)
    assert [each.name for each in adapter.check_credentials(deadline_seconds=5)] == faults
    adapter.close()


def test_without_an_answer_nothing_is_said_of_the_credentials() -> None:
    unreachable = AcornAdapter(base_url="http://127.0.0.1:1", api_key=API_KEY, shop=SHOP)
    with pytest.raises(PspUnavailable):
        unreachable.check_credentials(deadline_seconds=5)
    unreachable.close()


@pytest.mark.parametrize(
    ("key", "base_url", "said"),
    [(API_KEY, "https://acorn.invalid", "test key"), ("acorn_live_k", "http://h", "https://")],
)
def test_a_live_account_takes_a_live_key_and_https_alone(
    key: str, base_url: str, said: str
) -> None:
    given = {"api_key": key, "base_url": base_url, "shop": SHOP}
    with pytest.raises(CredentialsRefused, match=said):
        AcornAdapter.from_credentials(given, livemode=True)


def test_the_code_in_the_guide_is_this_code() -> None:
    """Its blocks are lines of this folder, in their order; `...` stands for lines left out."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    code = "\n".join(_stripped(each.read_text()) for each in files)
    blocks = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    parts = [part.strip() for each in blocks for part in _stripped(each).split("\n...\n")]
    assert parts
    assert [part for part in parts if part not in code] == []


def _stripped(text: str) -> str:
    return "\n".join(line.strip() for line in text.splitlines())
