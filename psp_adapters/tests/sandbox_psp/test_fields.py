"""The card fields: shown to registered pages alone, and tokens that are charged once, or kept."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from psp_adapters.contract.operations import OperationKind, Outcome, PspRequest
from psp_adapters.contract.payments import HostedFields, UnknownToken
from psp_adapters.contract.setups import SetupRequest
from psp_adapters.sandbox.adapter import SandboxAdapter
from psp_adapters.sandbox_psp.card_numbers import TEST_CARDS, TEST_IBANS, passes_check_digit
from psp_adapters.sandbox_psp.tokens import TOKENS
from psp_adapters.tests.suites.contract_suite import make_request
from psp_adapters.tests.support.sandbox_process import SandboxProcess

PAGE = "https://pay.example"
CARD = {"number": "4242424242424242", "month": "12", "year": "34", "cvc": "123"}


def ask(url: str, body: object = None, **headers: str) -> tuple[int, str, Any]:
    """Status, text and headers of what a browser gets."""
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url, data, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.read().decode(), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(), error.headers


def described(adapter: SandboxAdapter, origin: str = PAGE) -> HostedFields:
    return adapter.hosted_fields(page_origin=origin, deadline_seconds=5)


def tokenize(fields: HostedFields, **card: str) -> tuple[int, dict[str, Any]]:
    body = {"key": fields.public_key, **CARD, **card}
    status, text, _ = ask(f"{fields.origin}/fields/tokens", body)
    return status, json.loads(text)


def charge(order_id: str, token: str) -> PspRequest:
    return make_request(OperationKind.AUTHORIZE, order_id=order_id, token=token)


def token_of(adapter: SandboxAdapter, **card: str) -> str:
    status, made = tokenize(described(adapter), **card)
    assert status == 200, made
    return str(made["token"])


def test_the_page_is_framed_by_the_registered_origin_alone_and_not_kept(
    adapter: SandboxAdapter,
) -> None:
    fields = described(adapter)
    status, text, headers = ask(f"{fields.url}&lang=de")
    assert (status, headers["Cache-Control"]) == (200, "no-store")
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert policy.endswith(f"frame-ancestors {PAGE}")
    assert "Kartennummer" in text
    assert "{" + "number}" not in text
    other = fields.url.replace("pay.example", "evil.example")
    assert ask(other)[0] == 403
    assert ask(fields.url.replace("pk_sandbox_", "pk_sandbox_0"))[0] == 401


@pytest.mark.parametrize("origin", ["pay.example", "https://pay.example/x", "https://a b", "", 5])
def test_only_an_origin_can_be_registered(sandbox: SandboxProcess, origin: object) -> None:
    url = f"{sandbox.base_url}/v1/field_origins"
    assert ask(url, {"origin": origin}, Authorization="Bearer sandbox_x")[0] == 400
    assert ask(url, {"origin": PAGE})[0] == 401


def test_a_token_is_charged_once_and_shows_what_may_be_shown(
    adapter: SandboxAdapter, order_id: str
) -> None:
    token = token_of(adapter, month="03", year="31")
    shown = adapter.find_token(token, deadline_seconds=5)
    assert (shown.brand, shown.last4) == ("visa", "4242")
    assert (shown.expiry_month, shown.expiry_year) == (3, 2031)
    first, second = (charge(order_id, token) for _ in range(2))
    assert adapter.authorize(first, deadline_seconds=5).outcome is Outcome.SUCCEEDED
    again = adapter.authorize(first, deadline_seconds=5)
    assert again.outcome is Outcome.SUCCEEDED, "a repeat with the key is the same charge"
    assert adapter.authorize(second, deadline_seconds=5).outcome is Outcome.DECLINED
    with pytest.raises(UnknownToken):
        adapter.find_token(token, deadline_seconds=5)


@pytest.mark.parametrize("kept_by", ["setup", "charge"])
def test_a_token_that_was_kept_is_charged_again_also_later(
    own_sandbox: SandboxProcess, order_id: str, kept_by: str
) -> None:
    adapter = SandboxAdapter(base_url=own_sandbox.base_url, api_key="sandbox_keeping")
    token = token_of(adapter)
    if kept_by == "setup":
        kept = adapter.set_up(setup_of(token), deadline_seconds=5)
    else:
        first = replace(charge(f"{order_id}-first", token), save_for="off_session")
        kept = adapter.authorize(first, deadline_seconds=5)  # type: ignore[assignment]
    assert kept.outcome is Outcome.SUCCEEDED
    own_sandbox.advance(901)
    assert adapter.find_token(token, deadline_seconds=5).last4 == "4242"
    for number in range(2):
        later = replace(
            charge(f"{order_id}-{number}", token),
            off_session=True,
            network_transaction_id=kept.network_transaction_id,
        )
        assert adapter.authorize(later, deadline_seconds=5).outcome is Outcome.SUCCEEDED
    adapter.close()


def test_a_token_whose_setup_was_declined_is_spent(adapter: SandboxAdapter, order_id: str) -> None:
    token = token_of(adapter, number="4000000000009995")
    assert adapter.set_up(setup_of(token), deadline_seconds=5).outcome is Outcome.DECLINED
    again = adapter.set_up(setup_of(token), deadline_seconds=5)
    assert (again.outcome, again.decline_code) == (Outcome.DECLINED, "")
    assert adapter.authorize(charge(order_id, token), deadline_seconds=5).decline_code == ""


def setup_of(token: str) -> SetupRequest:
    """A setup of its own for this token."""
    reference = f"setatt_{uuid.uuid4().hex[:21]}"
    return SetupRequest(
        psp_key=f"key-{reference}", reference=reference, token=token, usage="off_session"
    )


def test_a_token_is_the_accounts_own_and_lives_for_a_quarter_of_an_hour(
    own_sandbox: SandboxProcess, order_id: str
) -> None:
    mine, other = (
        SandboxAdapter(base_url=own_sandbox.base_url, api_key=f"sandbox_{name}")
        for name in ("mine", "other")
    )
    token = token_of(mine)
    with pytest.raises(UnknownToken):
        other.find_token(token, deadline_seconds=5)
    own_sandbox.advance(901)
    late = mine.authorize(charge(order_id, token), deadline_seconds=5)
    assert late.outcome is Outcome.DECLINED
    assert own_sandbox.effects(order_id=order_id) == []
    for adapter in (mine, other):
        adapter.close()


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"number": "4242"}, "incomplete_number"),
        ({"number": "4242424242424241"}, "invalid_number"),
        ({"number": "4111111111111111"}, "unknown_test_card"),
        ({"month": "13"}, "invalid_expiry"),
        ({"year": "20"}, "card_expired"),
        ({"cvc": "1"}, "invalid_cvc"),
    ],
)
def test_what_the_customer_can_correct_has_a_code(
    adapter: SandboxAdapter, wrong: dict[str, str], code: str
) -> None:
    assert tokenize(described(adapter), **wrong) == (422, {"code": code})


def test_another_site_makes_no_token(adapter: SandboxAdapter) -> None:
    fields = described(adapter)
    body = {"key": fields.public_key, **CARD}
    url = f"{fields.origin}/fields/tokens"
    assert ask(url, body, **{"Sec-Fetch-Site": "cross-site"})[0] == 403


def test_no_number_is_stored_and_a_restart_keeps_tokens_and_origins(
    tmp_path: Path, order_id: str
) -> None:
    store = tmp_path / "sandbox.sqlite3"
    process = SandboxProcess(store)
    adapter = SandboxAdapter(base_url=process.start(), api_key="sandbox_kept")
    token = token_of(adapter)
    port = int(process.base_url.rpartition(":")[2])
    process.kill()
    files = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert token.encode() in files
    assert CARD["number"].encode() not in files
    process.start(port)
    paid = adapter.authorize(charge(order_id, token), deadline_seconds=5)
    assert paid.outcome is Outcome.SUCCEEDED
    assert ask(described(adapter).url)[0] == 200
    adapter.close()
    process.stop()


def test_every_published_number_is_whole() -> None:
    assert all(passes_check_digit(number) for number in TEST_CARDS)


def test_the_fields_of_a_bank_account_make_tokens_of_test_accounts_alone(
    adapter: SandboxAdapter,
) -> None:
    fields = described(adapter)
    status, text, headers = ask(f"{fields.url}&lang=de&method=sepa_debit")
    assert (status, "IBAN" in text, headers["Cache-Control"]) == (200, True, "no-store")
    assert headers["Content-Security-Policy"].endswith(f"frame-ancestors {PAGE}")
    assert "{" not in text.partition("<body")[2].partition("<form")[0]
    assert ask(f"{fields.url}&method=ideal")[0] == 404
    for iban, name in TEST_IBANS.items():
        status, made = account(fields, iban)
        assert status == 200
        shown = adapter.find_token(made["token"], deadline_seconds=5)
        assert (shown.method_type, shown.last4, shown.expiry_year) == ("sepa_debit", "3000", None)
        assert name in TOKENS
    wrong = {
        "DE8937": "incomplete_iban",
        "DE89370400440532013001": "invalid_iban",
        "GB82WEST12345698765432": "unknown_test_iban",
    }
    for iban, code in wrong.items():
        assert account(fields, iban) == (422, {"code": code})


def account(fields: HostedFields, iban: str) -> tuple[int, dict[str, Any]]:
    body = {"key": fields.public_key, "iban": iban}
    status, text, _ = ask(f"{fields.origin}/fields/tokens", body)
    return status, json.loads(text)
