"""The check of an account's credentials at Adyen names the one that is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from psp_adapters.adyen.adapter import AdyenAdapter
from psp_adapters.contract.operations import PspUnavailable
from psp_adapters.tests.adyen.conftest import Kept
from psp_adapters.tests.support.adyen_face import ACCOUNT, API_KEY, HMAC_KEY, AdyenFace


def faults(base_url: str, **given: Any) -> list[str]:
    words = {"api_key": API_KEY, "merchant_account": ACCOUNT, "webhook_secrets": (HMAC_KEY,)}
    adapter = AdyenAdapter(base_url=base_url, stored=Kept(), **words | given)
    try:
        return [str(each) for each in adapter.check_credentials(deadline_seconds=5)]
    finally:
        adapter.close()


def test_credentials_are_checked_by_one_read_and_each_fault_is_named(face: AdyenFace) -> None:
    assert faults(face.base_url) == []
    [wrong_key] = faults(face.base_url, api_key="of-another-account")
    assert wrong_key.startswith("api_key: ")
    [wrong_secret] = faults(face.base_url, webhook_secrets=(HMAC_KEY, "no hexadecimal key"))
    assert wrong_secret.startswith("webhook_secrets: ")
    for text in (wrong_key, wrong_secret):
        assert "of-another-account" not in text
        assert "no hexadecimal" not in text
    with pytest.raises(PspUnavailable):
        faults("http://127.0.0.1:1/v72")
