"""The registry makes adapters, and refuses unknown PSPs and credentials that cannot be used."""

from __future__ import annotations

import subprocess
import sys

import pytest

from psp_adapters.contract.adapter import PspAdapter
from psp_adapters.contract.credentials import split_secrets
from psp_adapters.contract.operations import REQUEST_REFUSED, Outcome
from psp_adapters.contract.setups import SetupLookUp, SetupRequest
from psp_adapters.registry import (
    BadCredentials,
    UnknownPsp,
    capabilities_of,
    credential_fields_of,
    new_adapter,
)
from psp_adapters.tests.adyen.conftest import Kept
from psp_adapters.tests.guide.adapter import AcornAdapter

KEY = "sk_test_registry"
ADDRESS = "http://127.0.0.1:1"


def test_an_account_at_stripe_needs_a_key_and_no_address() -> None:
    adapter = new_adapter("stripe", {"api_key": KEY}, livemode=False)
    assert adapter.name == "stripe"
    assert capabilities_of("stripe") is adapter.capabilities
    assert credential_fields_of("stripe") is adapter.credential_fields


@pytest.mark.parametrize(
    ("psp", "credentials", "livemode", "said"),
    [
        ("stripe", {"base_url": ADDRESS}, False, "api_key is missing"),
        ("stripe", {"api_key": "pk_test_registry"}, False, "no secret or restricted key"),
        (
            "stripe",
            {"api_key": "sk_live_registry"},
            False,
            "a live key, and this is a test account",
        ),
        ("stripe", {"api_key": KEY}, True, "a test key, and this is a live account"),
        ("stripe", {"api_key": "rk_live_registry", "base_url": ADDRESS}, True, "https"),
        ("stripe", {"api_key": f"{KEY}\n"}, False, "api_key is no text in one line"),
        ("stripe", {"api_key": KEY, "apikey": KEY}, False, "apikey is none of the credentials"),
        ("stripe", {"api_key": KEY, "base_url": "api.stripe.com"}, False, "base_url is no address"),
        (
            "stripe",
            {"api_key": KEY, "webhook_secrets": "whsec_registry,"},
            False,
            "webhook_secrets",
        ),
        ("sandbox", {"api_key": "sandbox_registry"}, False, "base_url is missing"),
        ("sandbox", {"api_key": "sandbox_registry", "base_url": "http://h:x"}, False, "base_url"),
    ],
)
def test_credentials_that_cannot_be_used_are_named_and_never_shown(
    psp: str, credentials: dict[str, str], livemode: bool, said: str
) -> None:
    with pytest.raises(BadCredentials, match=said) as refused:
        new_adapter(psp, credentials, livemode=livemode)
    assert "registry" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_several_webhook_secrets_are_separated_by_commas() -> None:
    assert split_secrets({"webhook_secrets": "first secret,second secret"}) == (
        *("first secret", "second secret"),
    )
    assert split_secrets({}) == ()


def test_an_account_at_adyen_needs_its_name_and_what_its_look_ups_read() -> None:
    credentials = {"api_key": "key", "merchant_account": "ShopECOM"}
    one = new_adapter("adyen", credentials, livemode=False, stored=Kept())
    assert capabilities_of("adyen") is one.capabilities
    with pytest.raises(ValueError, match="notifications"):
        new_adapter("adyen", credentials, livemode=False)
    with pytest.raises(BadCredentials, match="merchant_account"):
        new_adapter("adyen", {"api_key": "key"}, livemode=False, stored=Kept())
    with pytest.raises(BadCredentials, match="test environment, and this is a live account"):
        new_adapter("adyen", credentials, livemode=True, stored=Kept())
    for base_url in ("http://checkout-test.adyen.com/v72", "ftp://127.0.0.1/v72"):
        with pytest.raises(BadCredentials, match="https"):
            given = {**credentials, "base_url": base_url}
            new_adapter("adyen", given, livemode=False, stored=Kept())


def test_an_adapter_that_overrides_nothing_refuses_every_setup() -> None:
    adapter = AcornAdapter(base_url="http://127.0.0.1:1", api_key="k", shop="s")
    assert adapter.capabilities.reusable_method_types == frozenset()
    asked = SetupRequest(psp_key="k", reference="r", token="pm_card_visa", usage="off_session")
    result = adapter.set_up(asked, deadline_seconds=1)
    assert (result.outcome, result.code) == (Outcome.DECLINED, REQUEST_REFUSED)
    assert adapter.look_up_setup(SetupLookUp(reference="r"), deadline_seconds=1) is None
    adapter.close()


def test_an_sdk_is_loaded_only_for_an_account_that_names_it() -> None:
    """It takes memory and time in every process that loads it."""
    load = "import sys, psp_adapters.registry as r; r.capabilities_of('sandbox')"
    checked = f"{load}; sys.exit(bool({{'stripe', 'Adyen'}} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", checked], check=False).returncode == 0


def test_the_registry_refuses_unknown_psps() -> None:
    with pytest.raises(UnknownPsp):
        new_adapter("unknown", {}, livemode=False)


@pytest.mark.parametrize("left_out", ["from_credentials", "close", "read_notifications"])
def test_an_adapter_that_lacks_a_part_of_the_contract_cannot_be_made(left_out: str) -> None:
    parts = {left_out: getattr(PspAdapter, left_out)}
    lacking = type("Lacking", (AcornAdapter,), parts)
    with pytest.raises(TypeError, match=left_out):
        lacking(base_url=ADDRESS, api_key="acorn_test_1", shop="shop")
