"""The registry makes one adapter per account, and refuses unknown PSPs and bad credentials."""

from __future__ import annotations

import pytest

from psp_adapters.registry import BadCredentials, UnknownPsp, adapter_for
from psp_adapters.tests.support.sandbox_process import SandboxProcess


def test_the_registry_keeps_one_adapter_per_account(sandbox: SandboxProcess) -> None:
    credentials = {"base_url": sandbox.base_url, "api_key": "sandbox_one"}
    one = adapter_for("sandbox", credentials)
    assert adapter_for("sandbox", dict(reversed(credentials.items()))) is one
    assert adapter_for("sandbox", {**credentials, "api_key": "sandbox_two"}) is not one


def test_the_registry_refuses_unknown_psps_and_bad_credentials() -> None:
    with pytest.raises(UnknownPsp):
        adapter_for("unknown", {})
    with pytest.raises(BadCredentials) as refused:
        adapter_for("sandbox", {"api_key": "sandbox_hidden"})
    assert "base_url" in str(refused.value)
    assert "hidden" not in str(refused.value)
