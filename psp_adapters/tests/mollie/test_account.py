"""The check of an account's credentials at Mollie names the one that is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from psp_adapters.contract.operations import PspUnavailable
from psp_adapters.registry import BadCredentials, new_adapter
from psp_adapters.tests.support.mollie_double import (
    WEBHOOK_URL,
    adapter_answered,
    adapter_answered_by,
)
from psp_adapters.tests.support.receiver import SECRET

GIVEN = {"api_key": "test_hidden", "webhook_url": WEBHOOK_URL, "webhook_secrets": SECRET}
EMPTY = {"_embedded": {"payments": []}, "_links": {}, "count": 0}


def faults(status: int, body: Any = None) -> list[str]:
    adapter, transport = adapter_answered_by(lambda method, path, sent: (status, body))
    found = [str(each) for each in adapter.check_credentials(deadline_seconds=5)]
    assert [(method, path) for method, path, _ in transport.requests] == [("GET", "/v2/payments")]
    return found


def test_a_key_is_checked_by_one_list_and_a_fault_names_it() -> None:
    assert faults(200, EMPTY) == []
    for status, name in ((401, "api_key"), (403, "api_key"), (404, "base_url")):
        [fault] = faults(status, {"status": status, "title": "test_double"})
        assert fault.startswith(f"{name}: ")
        assert "test_double" not in fault
    with pytest.raises(PspUnavailable):
        faults(503)


@pytest.mark.parametrize(
    ("changes", "livemode", "said"),
    [
        ({}, True, "a test key, and this is a live account"),
        ({"api_key": "live_hidden"}, False, "a live key, and this is a test account"),
        ({"api_key": "sk_hidden"}, False, "no key of a profile"),
        ({"webhook_secrets": ""}, False, "webhook_secrets is missing"),
        ({"webhook_url": ""}, False, "webhook_url is missing"),
        ({"profile_id": "hidden"}, False, "profile_id is no id of a profile"),
        ({"fields_origin": "js.mollie.com"}, False, "fields_origin is no origin"),
    ],
)
def test_credentials_that_cannot_be_used_are_named(
    changes: dict[str, str], livemode: bool, said: str
) -> None:
    with pytest.raises(BadCredentials, match=said) as refused:
        new_adapter("mollie", GIVEN | changes, livemode=livemode)
    assert "hidden" not in str(refused.value)


def test_the_profile_of_the_card_fields_is_that_of_the_key() -> None:
    for shown, said in (("pfl_own", []), ("pfl_other", ["profile_id: it is not the profile"])):
        adapter, transport = adapter_answered(
            (200, EMPTY), (200, {"resource": "profile", "id": shown})
        )
        given = GIVEN | {"profile_id": "pfl_own"}
        adapter.card_fields = new_adapter("mollie", given, livemode=False).card_fields
        found = [str(each) for each in adapter.check_credentials(deadline_seconds=5)]
        assert [each[: len(text)] for each, text in zip(found, said, strict=True)] == said
        assert transport.requests[-1][:2] == ("GET", "/v2/profiles/me")
