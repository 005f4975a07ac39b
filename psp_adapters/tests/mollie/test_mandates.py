"""Methods kept at Mollie: a first payment makes a mandate, and later payments are made by it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from psp_adapters.contract.operations import (
    REQUEST_REFUSED,
    LookUp,
    OperationKind,
    Outcome,
    PspRequest,
    PspUnavailable,
)
from psp_adapters.contract.payments import UnknownToken
from psp_adapters.mollie.adapter import MollieAdapter
from psp_adapters.tests.suites.contract_suite import found_by, make_request, send
from psp_adapters.tests.support.mollie_double import (
    WEBHOOK_URL,
    adapter_answered,
    error,
    payment_view,
)
from psp_adapters.tests.support.mollie_face import MollieFace
from psp_adapters.tests.support.receiver import SECRET
from psp_adapters.tests.support.sandbox_process import SandboxProcess

KEPT = "cst_1/mdt_1"
CUSTOMER = (201, {"resource": "customer", "id": "cst_1", "mode": "test"})
BACK = "https://shop.example/back"


@pytest.fixture
def face(sandbox: SandboxProcess) -> Iterator[MollieFace]:
    face = MollieFace(sandbox.base_url)
    yield face
    face.close()


@pytest.fixture
def adapter(face: MollieFace) -> Iterator[MollieAdapter]:
    adapter = MollieAdapter(
        api_key=f"test_{uuid.uuid4().hex}",
        base_url=face.base_url,
        webhook_url=WEBHOOK_URL,
        webhook_secret=SECRET,
    )
    yield adapter
    adapter.close()


def first(token: str, **more: Any) -> PspRequest:
    given = {"token": token, "order_id": f"o-{uuid.uuid4().hex}", "return_url": BACK} | more
    return make_request(
        OperationKind.AUTHORIZE, currency="EUR", save_for="off_session", capture=True, **given
    )


def later(token: str, **more: Any) -> PspRequest:
    given = {"capture": True, "order_id": f"o-{uuid.uuid4().hex}"} | more
    return make_request(
        OperationKind.AUTHORIZE,
        currency="EUR",
        token=token,
        off_session=True,
        challenge_allowed=False,
        **given,
    )


def test_a_kept_card_is_charged_or_held_without_the_customer_until_it_is_released(
    adapter: MollieAdapter,
) -> None:
    asked = first("tkn_visa")
    made = send(adapter, asked)
    assert made.outcome is Outcome.SUCCEEDED
    assert made.stored_token.startswith("cst_")
    assert send(adapter, asked).stored_token == made.stored_token, "one customer for all repeats"
    for capture in (True, False):
        charged = send(adapter, later(made.stored_token, capture=capture))
        assert (charged.outcome, charged.stored_token) == (Outcome.SUCCEEDED, "")
    for _ in range(2):
        adapter.release_stored(made.stored_token, deadline_seconds=5)
    refused = send(adapter, later(made.stored_token))
    assert (refused.outcome, refused.code) == (Outcome.DECLINED, REQUEST_REFUSED)


def test_a_payment_by_a_bank_makes_a_mandate_for_direct_debits(
    adapter: MollieAdapter, sandbox: SandboxProcess
) -> None:
    asked = first("method:ideal")
    opened = send(adapter, asked)
    assert (opened.outcome, opened.stored_token) == (Outcome.REQUIRES_ACTION, "")
    sandbox.complete_challenge(opened.redirect_url)
    query = LookUp(kind=OperationKind.AUTHORIZE, reference=asked.reference, psp_id=opened.psp_id)
    paid = found_by(adapter, query)
    assert paid is not None
    assert (paid.outcome, bool(paid.stored_token)) == (Outcome.SUCCEEDED, True)
    payment = adapter.look_up_payment(paid.psp_payment_id, deadline_seconds=5)
    assert payment is not None
    assert payment.operations[0].stored_token == paid.stored_token
    assert paid.mandate_reference == paid.stored_token.partition("/")[2]
    assert payment.operations[0].mandate_reference == paid.mandate_reference
    debit = send(adapter, later(paid.stored_token))
    assert debit.outcome is Outcome.PENDING
    assert debit.psp_payment_id != paid.psp_payment_id


def test_a_charge_by_a_mandate_names_no_method_and_no_address() -> None:
    request = later(KEPT)
    view = payment_view(metadata={"reference": request.reference})
    adapter, transport = adapter_answered((201, view))
    send(adapter, request)
    [(_, path, body)] = transport.requests
    assert path == "/v2/payments"
    named = {name: body[name] for name in ("sequenceType", "customerId", "mandateId")}
    assert named == {"sequenceType": "recurring", "customerId": "cst_1", "mandateId": "mdt_1"}
    assert body.keys().isdisjoint({"method", "redirectUrl", "cardToken", "captureMode"})


def test_a_first_payment_names_its_customer() -> None:
    request = first("tkn_visa")
    view = payment_view(
        status="paid",
        sequenceType="first",
        customerId="cst_1",
        mandateId="mdt_1",
        metadata={"reference": request.reference},
    )
    adapter, transport = adapter_answered(CUSTOMER, (201, view))
    assert send(adapter, request).stored_token == KEPT
    (_, customers, about), (_, payments, body) = transport.requests
    assert (customers, payments) == ("/v2/customers", "/v2/payments")
    assert about == {"metadata": {"reference": request.reference}}
    assert (body["sequenceType"], body["customerId"]) == ("first", "cst_1")
    assert transport.keys == [f"{request.psp_key}:customer", request.psp_key]


@pytest.mark.parametrize(
    "answer",
    [
        error(500),
        error(429),
        error(401),
        (201, {"id": "cst_1", "mode": "live"}),
        (201, {}),
        (201, None),
    ],
)
def test_without_a_customer_nothing_else_is_sent(answer: tuple[int, Any]) -> None:
    adapter, transport = adapter_answered(answer)
    result = send(adapter, first("tkn_visa"))
    assert result.outcome is Outcome.NOT_SENT
    assert (result.retry_after_seconds is not None) is (answer[0] == 429)
    assert [path for _, path, _ in transport.requests] == ["/v2/customers"]


def test_a_merchant_cannot_name_the_mandate_of_a_customer_at_mollie() -> None:
    adapter, transport = adapter_answered()
    with pytest.raises(UnknownToken):
        adapter.find_token(KEPT, deadline_seconds=5)
    assert transport.requests == []


def test_a_mandate_is_revoked_once_and_a_doubt_is_told() -> None:
    adapter, transport = adapter_answered((204, None), error(404), error(410), error(500))
    for _ in range(3):
        adapter.release_stored(KEPT, deadline_seconds=5)
    with pytest.raises(PspUnavailable):
        adapter.release_stored(KEPT, deadline_seconds=5)
    assert {(method, path) for method, path, _ in transport.requests} == {
        ("DELETE", "/v2/customers/cst_1/mandates/mdt_1")
    }
