"""The sandbox adapter sets up cards: whatever the PSP and the network do, it answers or doubts."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from psp_adapters.contract.operations import REQUEST_REFUSED, OperationKind, Outcome
from psp_adapters.contract.setups import SetupLookUp, SetupRequest, SetupResult
from psp_adapters.http import HttpAnswer
from psp_adapters.sandbox import setups
from psp_adapters.sandbox.adapter import SandboxAdapter
from psp_adapters.tests.suites.contract_suite import DEADLINE_SECONDS, make_request, send
from psp_adapters.tests.support.sandbox_process import SandboxProcess


@pytest.fixture
def adapter(sandbox: SandboxProcess) -> SandboxAdapter:
    return SandboxAdapter(base_url=sandbox.base_url, api_key=f"sandbox_{uuid.uuid4().hex}")


def request(token: str = "pm_card_visa", **more: Any) -> SetupRequest:
    reference = f"setatt_{uuid.uuid4().hex[:22]}"
    return SetupRequest(
        psp_key=reference, reference=reference, token=token, usage="off_session", **more
    )


def set_up(adapter: SandboxAdapter, asked: SetupRequest) -> SetupResult:
    return adapter.set_up(asked, deadline_seconds=DEADLINE_SECONDS)


def found(adapter: SandboxAdapter, asked: SetupRequest) -> SetupResult | None:
    query = SetupLookUp(reference=asked.reference)
    return adapter.look_up_setup(query, deadline_seconds=DEADLINE_SECONDS)


@pytest.mark.parametrize(
    ("token", "outcome", "code"),
    [
        ("pm_card_visa", Outcome.SUCCEEDED, ""),
        ("pm_card_chargeDeclined", Outcome.DECLINED, "card_declined"),
        ("pm_card_threeDSecure2Required", Outcome.REQUIRES_ACTION, ""),
        ("pm_ideal_success", Outcome.DECLINED, REQUEST_REFUSED),
    ],
)
def test_a_setup_has_the_outcome_that_a_look_up_finds(
    adapter: SandboxAdapter, token: str, outcome: Outcome, code: str
) -> None:
    asked = request(token)
    assert found(adapter, asked) is None
    result = set_up(adapter, asked)
    assert (result.outcome, result.code) == (outcome, code)
    assert bool(result.network_transaction_id) is (outcome is Outcome.SUCCEEDED)
    assert bool(result.redirect_url) is (outcome is Outcome.REQUIRES_ACTION)
    assert set_up(adapter, asked) == result, "the same key gets the same answer"
    assert found(adapter, asked) == (None if code == REQUEST_REFUSED else result)


@pytest.mark.parametrize(
    ("fault", "outcome", "is_there"),
    [
        ("drop_after", Outcome.UNKNOWN, True),
        ("error_after", Outcome.UNKNOWN, True),
        ("truncate", Outcome.UNKNOWN, True),
        ("error_before", Outcome.UNKNOWN, False),
        ("down", Outcome.UNKNOWN, False),
        ("rate_limit", Outcome.NOT_SENT, False),
    ],
)
def test_a_lost_answer_is_a_doubt_that_a_look_up_ends(
    sandbox: SandboxProcess, adapter: SandboxAdapter, fault: str, outcome: Outcome, is_there: bool
) -> None:
    asked = request()
    sandbox.script({fault: 1}, reference=asked.reference, kind="setup")
    assert set_up(adapter, asked).outcome is outcome
    assert (found(adapter, asked) is not None) is is_there


@pytest.mark.parametrize(
    "view",
    [
        {"reference": "another", "id": "sset_1", "status": "succeeded"},
        {"reference": "r", "id": "", "status": "succeeded"},
        {"reference": "r", "id": "sset_1", "status": "strange"},
        {"reference": "r"},
    ],
)
def test_an_answer_that_contradicts_or_cannot_be_read_is_a_doubt(view: dict[str, Any]) -> None:
    asked = SetupRequest(psp_key="k", reference="r", token="pm_card_visa", usage="off_session")
    body = json.dumps({"network_transaction_id": "", **view}).encode()
    result = setups.result_of_answer(asked, HttpAnswer(200, {}, body))
    assert result.outcome is Outcome.UNKNOWN


def test_a_charge_tells_of_the_agreement_and_gets_its_id(adapter: SandboxAdapter) -> None:
    token = "pm_card_authenticationRequiredOnSetup"
    agreed = send(
        adapter,
        make_request(
            OperationKind.AUTHORIZE, token="pm_card_visa", order_id="o", save_for="off_session"
        ),
    )
    assert agreed.network_transaction_id
    plain = send(adapter, make_request(OperationKind.AUTHORIZE, token="pm_card_visa", order_id="o"))
    assert plain.network_transaction_id not in ("", agreed.network_transaction_id)
    for network_id in ("", agreed.network_transaction_id):  # Of another card.
        later = make_request(
            OperationKind.AUTHORIZE,
            token=token,
            order_id="o",
            challenge_allowed=False,
            off_session=True,
            network_transaction_id=network_id,
        )
        assert send(adapter, later).code == "authentication_required"
