"""The check of an account's credentials at Stripe names the one that is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from psp_adapters.contract.operations import PspUnavailable
from psp_adapters.registry import BadCredentials, new_adapter
from psp_adapters.stripe.adapter import StripeAdapter
from psp_adapters.tests.support.localstripe_process import LocalStripe
from psp_adapters.tests.support.stripe_double import BASE_URL, DoubledTransport, Form

EMPTY = {"object": "list", "data": [], "has_more": False}


def refusal(code: str) -> Any:
    return {"error": {"type": "invalid_request_error", "code": code, "message": "sk_test_double"}}


def faults(
    answers: dict[str, tuple[int, Any]], *, account_id: str = "", secrets: tuple[str, ...] = ()
) -> tuple[list[str], list[tuple[str, str, Form]]]:
    """What the check finds if some lists are answered otherwise than by an empty one."""
    transport = DoubledTransport(lambda method, path, form: answers.get(path, (200, EMPTY)))
    adapter = StripeAdapter(
        api_key="sk_test_double",
        base_url=BASE_URL,
        account_id=account_id,
        webhook_secrets=secrets,
        transport=transport,
    )
    found = adapter.check_credentials(deadline_seconds=5)
    return [str(each) for each in found], transport.requests


def test_credentials_that_work_are_read_with_once_for_each_right_and_nothing_is_written() -> None:
    found, requests = faults({}, secrets=("whsec_0123456789abcdef",))
    assert found == []
    assert {(method, form["limit"]) for method, _, form in requests} == {("GET", "1")}
    assert [path.removeprefix("/v1/") for _, path, _ in requests] == [
        *("payment_intents", "charges", "refunds", "disputes", "payment_methods", "payouts"),
        "balance_transactions",
    ]


def test_each_fault_names_the_credential_and_never_its_value() -> None:
    known = "/v1/payment_intents"
    denied = (403, refusal("more_permissions_required"))
    for answers, given, said in (
        ({known: (401, refusal("api_key_expired"))}, {}, ["api_key: Stripe does not know it"]),
        (
            {"/v1/charges": denied, "/v1/payouts": denied},
            {},
            ["api_key: a restricted key without the right to read Charges, Payouts"],
        ),
        (
            {known: (403, refusal("account_invalid"))},
            {"account_id": "acct_other"},
            ["account_id: the key has no access"],
        ),
        ({known: (404, "<html>")}, {}, ["base_url: what answers there is not Stripe"]),
        ({}, {"secrets": ("a secret of another PSP",)}, ["webhook_secrets: Stripe's signing"]),
        (
            {"/v1/refunds": denied},
            {"secrets": ("a secret of another PSP",)},
            ["api_key: a restricted key without the right to read Refunds", "webhook_secrets: "],
        ),
    ):
        found, _ = faults(answers, **given)
        assert len(found) == len(said), found
        for text, beginning in zip(found, said, strict=True):
            assert text.startswith(beginning)
            assert "sk_test_double" not in text
            assert "another PSP" not in text


def test_a_failure_of_stripe_says_nothing_about_the_credentials() -> None:
    with pytest.raises(PspUnavailable):
        faults({"/v1/refunds": (503, {})})


def test_localstripe_refuses_a_key_that_has_not_the_form_of_one(localstripe: LocalStripe) -> None:
    adapter = StripeAdapter(api_key="sk_", base_url=localstripe.proxy.base_url)
    assert [each.name for each in adapter.check_credentials(deadline_seconds=5)] == ["api_key"]
    adapter.close()


GIVEN = {"api_key": "sk_test_double", "publishable_key": "pk_test_public"}


@pytest.mark.parametrize(
    ("changes", "livemode", "said"),
    [
        ({"publishable_key": "sk_test_double"}, False, "publishable_key is no publishable key"),
        ({"publishable_key": "pk_live_public"}, False, "publishable_key is a live key"),
        ({"fields_origin": "http://127.0.0.1:1/x"}, False, "fields_origin is no origin"),
        ({"fields_origin": "https://js.stripe.com; x"}, False, "fields_origin is no origin"),
        (
            {"api_key": "sk_live_double", "fields_origin": "https://js.example"},
            True,
            "fields_origin of a live account is https://js.stripe.com",
        ),
    ],
)
def test_public_keys_and_origins_of_scripts_that_cannot_be_used_are_refused(
    changes: dict[str, str], livemode: bool, said: str
) -> None:
    with pytest.raises(BadCredentials, match=said):
        new_adapter("stripe", GIVEN | changes, livemode=livemode)


def test_an_account_has_card_fields_with_a_publishable_key_alone() -> None:
    assert new_adapter("stripe", GIVEN, livemode=False).has_card_fields()
    bare = new_adapter("stripe", {"api_key": "sk_test_double"}, livemode=False)
    assert not bare.has_card_fields()
    with pytest.raises(PspUnavailable):
        bare.hosted_fields(page_origin="https://pay.example", deadline_seconds=1)
