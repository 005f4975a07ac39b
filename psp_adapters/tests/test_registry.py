"""The registry makes one adapter per account, and refuses unknown PSPs and bad credentials."""

from __future__ import annotations

import subprocess
import sys

import pytest

from psp_adapters.contract.operations import REQUEST_REFUSED, Outcome
from psp_adapters.contract.setups import SetupLookUp, SetupRequest
from psp_adapters.registry import BadCredentials, UnknownPsp, adapter_for, capabilities_of
from psp_adapters.tests.adyen.conftest import Kept
from psp_adapters.tests.support.sandbox_process import SandboxProcess


def test_the_registry_keeps_one_adapter_per_account(sandbox: SandboxProcess) -> None:
    credentials = {"base_url": sandbox.base_url, "api_key": "sandbox_one"}
    one = adapter_for("sandbox", credentials)
    assert adapter_for("sandbox", dict(reversed(credentials.items()))) is one
    assert adapter_for("sandbox", {**credentials, "api_key": "sandbox_two"}) is not one


def test_an_account_at_stripe_needs_a_key_and_no_address() -> None:
    adapter = adapter_for("stripe", {"api_key": "sk_test_registry"})
    assert adapter.name == "stripe"
    assert capabilities_of("stripe") is adapter.capabilities
    with pytest.raises(BadCredentials, match="api_key"):
        adapter_for("stripe", {"base_url": "http://127.0.0.1:1"})


@pytest.mark.parametrize("api_key", ["sk_live_registry", "rk_live_registry"])
def test_a_live_key_of_stripe_is_sent_over_https_only(api_key: str) -> None:
    with pytest.raises(BadCredentials, match="https") as refused:
        adapter_for("stripe", {"api_key": api_key, "base_url": "http://127.0.0.1:1"})
    assert api_key not in str(refused.value)


def test_an_account_at_adyen_needs_its_name_and_what_its_look_ups_read() -> None:
    credentials = {"api_key": "key", "merchant_account": "ShopECOM"}
    one = adapter_for("adyen", credentials, stored=Kept())
    assert capabilities_of("adyen") is one.capabilities
    assert adapter_for("adyen", credentials, stored=Kept()) is not one
    with pytest.raises(ValueError, match="notifications"):
        adapter_for("adyen", credentials)
    with pytest.raises(BadCredentials, match="merchant_account"):
        adapter_for("adyen", {"api_key": "key"}, stored=Kept())
    for base_url in ("http://checkout-test.adyen.com/v72", "ftp://127.0.0.1/v72"):
        with pytest.raises(BadCredentials, match="https"):
            adapter_for("adyen", {**credentials, "base_url": base_url}, stored=Kept())


def test_a_psp_that_keeps_no_methods_refuses_every_setup() -> None:
    adapter = adapter_for("stripe", {"api_key": "sk_test_registry"})
    assert adapter.capabilities.reusable_method_types == frozenset()
    asked = SetupRequest(psp_key="k", reference="r", token="pm_card_visa", usage="off_session")
    result = adapter.set_up(asked, deadline_seconds=1)
    assert (result.outcome, result.code) == (Outcome.DECLINED, REQUEST_REFUSED)
    assert adapter.look_up_setup(SetupLookUp(reference="r"), deadline_seconds=1) is None


def test_an_sdk_is_loaded_only_for_an_account_that_names_it() -> None:
    """It takes memory and time in every process that loads it."""
    load = "import sys, psp_adapters.registry as r; r.capabilities_of('sandbox')"
    checked = f"{load}; sys.exit(bool({{'stripe', 'Adyen'}} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", checked], check=False).returncode == 0


def test_the_registry_refuses_unknown_psps_and_bad_credentials() -> None:
    with pytest.raises(UnknownPsp):
        adapter_for("unknown", {})
    with pytest.raises(BadCredentials) as refused:
        adapter_for("sandbox", {"api_key": "sandbox_hidden"})
    assert "base_url" in str(refused.value)
    assert "hidden" not in str(refused.value)
