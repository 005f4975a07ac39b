"""Every request of Stripe's adapter is one that Stripe's published OpenAPI document describes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest

from psp_adapters.contract.adapter import PspAdapter
from psp_adapters.contract.disputes import DisputeRequest
from psp_adapters.contract.operations import LookUp, OperationKind, PspUnavailable
from psp_adapters.contract.setups import SetupLookUp, SetupRequest
from psp_adapters.tests.suites.contract_suite import DEADLINE_SECONDS, make_request, send
from psp_adapters.tests.support.report_bytes import fetched
from psp_adapters.tests.support.stripe_double import (
    adapter_answered_by,
    dispute_view,
    intent_view,
)
from psp_adapters.tests.support.stripe_openapi import SETTING, OffContract, check, specification

K = OperationKind
EMPTY = {"object": "list", "data": [], "has_more": False}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    found = specification()
    if found is None:
        pytest.skip(f"{SETTING} names no file of Stripe's OpenAPI document")
    return found


def answer(method: str, path: str, form: dict[str, str]) -> tuple[int, Any]:
    if path.startswith("/v1/disputes"):
        return 200, dispute_view()
    if path == "/v1/customers":
        return 200, {"id": "cus_1", "object": "customer"}
    if path.count("/") == 2 and method == "GET":
        return 200, EMPTY
    return 200, intent_view()


def everything(adapter: PspAdapter) -> list[Callable[[], Any]]:
    """One call of each kind, with every option that the platform uses."""
    charge = make_request(
        K.AUTHORIZE,
        token="pm_card_visa",
        order_id="o-1",
        three_d_secure="challenge",
        return_url="https://shop.example/back",
    )
    of_payment = {"psp_payment_id": "pi_1"}
    response = DisputeRequest(
        psp_key="key",
        reference="dr_1",
        psp_dispute_id="dp_1",
        answers_inquiry=False,
        evidence={"uncategorized_text": "Delivered.", "customer_name": "A. Customer"},
    )
    setup = SetupRequest(
        psp_key="key-s",
        reference="s-1",
        token="pm_1",
        usage="off_session",
        three_d_secure="any",
        return_url="https://shop.example/back",
    )
    since, in_time = datetime(2026, 1, 1, tzinfo=UTC), {"deadline_seconds": DEADLINE_SECONDS}
    requests = [
        charge,
        replace(charge, challenge_allowed=False, capture=True),
        replace(charge, token="method:ideal", capture=True),
        replace(charge, save_for="off_session"),
        replace(charge, token="cus_1/pm_1", off_session=True, challenge_allowed=False),
        make_request(K.INCREMENT, **of_payment),
        make_request(K.CAPTURE, final=False, **of_payment),
        make_request(K.VOID, **of_payment),
        make_request(K.REFUND, **of_payment),
    ]
    lookups = [
        LookUp(kind=K.AUTHORIZE, reference="op_1", sent_at=since),
        LookUp(kind=K.REFUND, reference="op_1", psp_id="re_1", psp_payment_id="pi_1"),
        LookUp(kind=K.CAPTURE, reference="op_1", psp_payment_id="pi_1"),
    ]
    return [
        *(lambda each=each: send(adapter, each) for each in requests),
        *(lambda each=each: adapter.look_up(each, **in_time) for each in lookups),
        lambda: adapter.look_up_payment("pi_1", **in_time),
        lambda: adapter.find_token("pm_1", **in_time),
        lambda: adapter.set_up(setup, **in_time),
        lambda: adapter.look_up_setup(SetupLookUp(reference="s-1", sent_at=since), **in_time),
        lambda: adapter.look_up_setup(SetupLookUp(reference="s-1", psp_id="seti_1"), **in_time),
        lambda: adapter.release_stored("cus_1/pm_1", **in_time),
        lambda: adapter.submit_evidence(response, **in_time),
        lambda: adapter.accept_dispute(response, **in_time),
        lambda: adapter.list_reports(since=since, **in_time),
        lambda: fetched(adapter, "po_1", **in_time),
    ]


def test_every_request_is_in_the_document(document: dict[str, Any]) -> None:
    adapter, transport = adapter_answered_by(answer)
    for call in everything(adapter):
        # The double answers alike to everything: only what was sent is judged here.
        with suppress(PspUnavailable):
            call()
    paths = {path for _, path, _ in transport.requests}
    assert len(paths) >= 16
    for (method, path, form), key in zip(transport.requests, transport.keys, strict=True):
        body, query = (urlencode(form), "") if method == "POST" else ("", urlencode(form))
        check(document, method, f"{path}?{query}", body, has_key=bool(key))


@pytest.mark.parametrize(
    ("path", "body", "has_key"),
    [
        ("/v1/payment_intents", "amount=1&currency=usd&unknown=1", True),
        ("/v1/payment_intents", "amount=1.5&currency=usd", True),
        ("/v1/payment_intents", "amount=1", True),
        ("/v1/payment_intents", "amount=1&currency=usd&capture_method=never", True),
        ("/v1/payment_intents", "amount=1&currency=usd", False),
        ("/v1/no_such_thing", "amount=1", True),
    ],
)
def test_a_request_that_the_document_does_not_know_is_noticed(
    document: dict[str, Any], path: str, body: str, has_key: bool
) -> None:
    with pytest.raises(OffContract):
        check(document, "POST", path, body, has_key=has_key)
