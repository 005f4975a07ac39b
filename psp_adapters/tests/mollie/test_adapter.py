"""Mollie's adapter, through its client, against a face of the sandbox PSP that speaks as Mollie."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ledger.money import Money
from psp_adapters.contract.operations import LookUp, OperationKind, Outcome, PspRequest
from psp_adapters.contract.payments import PspOperationKind, PspPaymentStatus
from psp_adapters.mollie.adapter import MollieAdapter
from psp_adapters.mollie.connection import Transport
from psp_adapters.registry import BadCredentials, new_adapter
from psp_adapters.tests.suites.contract_suite import AdapterContract, make_request, send
from psp_adapters.tests.suites.fault_suite import FaultContract
from psp_adapters.tests.support.mollie_double import WEBHOOK_URL
from psp_adapters.tests.support.mollie_face import MollieFace
from psp_adapters.tests.support.mollie_openapi import SETTING, CheckedTransport, specification
from psp_adapters.tests.support.receiver import SECRET
from psp_adapters.tests.support.sandbox_process import SandboxProcess

K = OperationKind
BACK = "https://shop.example/back"


@pytest.fixture(scope="module")
def face(sandbox_process: SandboxProcess) -> Iterator[MollieFace]:
    face = MollieFace(sandbox_process.base_url)
    yield face
    face.close()


def adapter_at(base_url: str, api_key: str, *, transport: Transport | None = None) -> MollieAdapter:
    return MollieAdapter(
        api_key=api_key,
        base_url=base_url,
        webhook_url=WEBHOOK_URL,
        webhook_secret=SECRET,
        transport=transport,
    )


@pytest.fixture
def adapter(face: MollieFace, sandbox: SandboxProcess, order_id: str) -> Iterator[MollieAdapter]:
    """Requests and answers are checked against Mollie's OpenAPI document where it is named."""
    face.payments.clear()
    key, document = f"test_{order_id.replace('-', '')}", specification()
    checked = None if document is None else CheckedTransport(face.base_url, document, key=key)
    adapter = adapter_at(face.base_url, key, transport=checked)
    yield adapter
    adapter.close()
    assert checked is None or checked.violations == []


class TestMollieContract(AdapterContract, FaultContract):
    good_token = "tkn_visa"
    declined_token = "tkn_visa_chargeDeclined"
    challenged_token = "tkn_threeDSecure2Required"
    unknown_token = "not_a_token"
    cannot = {
        "described_without_its_number": "Mollie shows nothing of the token of a card",
        "unreachable_psp_finds_no_token": "Mollie is not asked about tokens",
    }

    @pytest.fixture(autouse=True)
    def _truth(self, sandbox: SandboxProcess, face: MollieFace, order_id: str) -> Iterator[None]:
        self.sandbox, self.face = sandbox, face
        self.key = f"test_{order_id.replace('-', '')}"
        self.others: list[MollieAdapter] = []
        yield
        for other in self.others:
            other.close()

    def drop_answer(self, kind: str, order_id: str, *, after: bool) -> None:
        of = {} if kind == "look_up" else {"order_id": order_id}
        self.sandbox.script({"drop_after" if after else "drop_before": 1}, kind=kind, **of)

    def adapter_of(self, *, base_url: str = "", api_key: str = "") -> MollieAdapter:
        other = adapter_at(base_url or self.face.base_url, api_key or self.key)
        self.others.append(other)
        return other

    def answer_challenge(self, redirect_url: str, psp_payment_id: str, *, fail: bool) -> None:
        self.sandbox.complete_challenge(redirect_url, fail=fail)


def request_of(order_id: str, token: str = "tkn_visa", **values: object) -> PspRequest:
    values.setdefault("currency", "EUR")
    return make_request(K.AUTHORIZE, order_id=order_id, token=token, return_url=BACK, **values)


@pytest.mark.parametrize("method", ["ideal", "bancontact", "paypal"])
def test_a_payment_on_another_page_is_found_paid_after_the_customer_made_it(
    face: MollieFace, sandbox: SandboxProcess, adapter: MollieAdapter, order_id: str, method: str
) -> None:
    request = request_of(order_id, f"method:{method}", capture=True)
    begun = send(adapter, request)
    assert begun.outcome is Outcome.REQUIRES_ACTION
    _, _, body = next(each for each in face.requests[::-1] if each[0] == "POST")
    assert (body["method"], body["redirectUrl"]) == (method, BACK)
    assert "captureMode" not in body

    sandbox.complete_challenge(begun.redirect_url)
    paid = adapter.look_up_payment(begun.psp_payment_id, deadline_seconds=5)
    assert paid is not None
    assert (paid.status, paid.held) == (PspPaymentStatus.CAPTURED, Money(0, "EUR"))


def test_a_payment_that_cannot_be_canceled_says_so_and_can_still_be_paid(
    sandbox: SandboxProcess, adapter: MollieAdapter, order_id: str
) -> None:
    begun = send(adapter, request_of(order_id, "method:ideal", capture=True))
    void = make_request(K.VOID, minor=0, currency="EUR", psp_payment_id=begun.psp_payment_id)
    refused = send(adapter, void)
    assert (refused.outcome, refused.code) == (Outcome.DECLINED, "processing_error")
    assert "ends by itself at" in refused.message
    sandbox.complete_challenge(begun.redirect_url)
    assert [each["kind"] for each in sandbox.effects(order_id=order_id)] == ["authorize", "capture"]


def test_an_open_payment_by_card_is_canceled(
    sandbox: SandboxProcess, adapter: MollieAdapter, order_id: str
) -> None:
    begun = send(adapter, request_of(order_id, "tkn_threeDSecure2Required"))
    void = make_request(K.VOID, minor=0, currency="EUR", psp_payment_id=begun.psp_payment_id)
    for _ in range(2):
        voided = send(adapter, void)
        assert (voided.outcome, voided.amount) == (Outcome.SUCCEEDED, Money(0, "EUR"))
    assert sandbox.effects(order_id=order_id) == []


def test_the_rest_of_a_hold_is_released_after_the_last_capture_only(
    sandbox: SandboxProcess, adapter: MollieAdapter, order_id: str
) -> None:
    made = send(adapter, request_of(order_id))
    of_payment = {"currency": "EUR", "psp_payment_id": made.psp_payment_id}
    for minor, final, released in ((300, False, 0), (200, True, 500)):
        captured = send(adapter, make_request(K.CAPTURE, minor=minor, final=final, **of_payment))
        assert (captured.outcome, captured.detail) == (Outcome.SUCCEEDED, "")
        voids = sandbox.effects(order_id=order_id, kind="void")
        assert sum(each["released_minor"] or each["amount_minor"] for each in voids) == released
    payment = adapter.look_up_payment(made.psp_payment_id, deadline_seconds=5)
    assert payment is not None
    assert (payment.status, payment.held) == (PspPaymentStatus.CAPTURED, Money(0, "EUR"))
    assert [(each.kind, each.final) for each in payment.operations] == [
        (PspOperationKind.AUTHORIZE, True),
        (PspOperationKind.CAPTURE, False),
        (PspOperationKind.CAPTURE, True),
    ]


def test_a_void_after_a_capture_in_part_is_shown_with_what_it_released(
    adapter: MollieAdapter, order_id: str
) -> None:
    made = send(adapter, request_of(order_id))
    of_payment = {"currency": "EUR", "psp_payment_id": made.psp_payment_id}
    send(adapter, make_request(K.CAPTURE, minor=300, final=False, **of_payment))
    void = make_request(K.VOID, minor=700, **of_payment)
    voided = send(adapter, void)
    assert (voided.outcome, voided.amount) == (Outcome.SUCCEEDED, Money(700, "EUR"))
    payment = adapter.look_up_payment(made.psp_payment_id, deadline_seconds=5)
    assert payment is not None
    last = payment.operations[-1]
    assert (last.kind, last.reference) == (PspOperationKind.VOID, void.reference)
    assert last.amount == Money(700, "EUR")


def test_a_void_without_the_payments_id_voids_what_had_arrived_and_else_is_unknown(
    adapter: MollieAdapter, order_id: str
) -> None:
    request = request_of(order_id)
    sent_at = datetime.now(UTC)
    void = make_request(
        K.VOID, currency="EUR", payment_reference=request.reference, payment_sent_at=sent_at
    )
    assert send(adapter, void).outcome is Outcome.UNKNOWN
    send(adapter, request)
    voided = send(adapter, void)
    assert (voided.outcome, voided.amount) == (Outcome.SUCCEEDED, request.amount)


def test_a_charge_of_which_the_id_is_lost_is_looked_for_since_it_was_sent(
    adapter: MollieAdapter, order_id: str
) -> None:
    request = request_of(order_id)
    made = send(adapter, request)
    now = datetime.now(UTC)
    query = LookUp(kind=K.AUTHORIZE, reference=request.reference, sent_at=now)
    found = adapter.look_up(query, deadline_seconds=5)
    assert found is not None
    assert found.psp_id == made.psp_id
    other = replace(query, reference="op_other", sent_at=now + timedelta(minutes=10))
    assert adapter.look_up(other, deadline_seconds=5) is None


def test_an_account_needs_its_address_and_a_live_key_needs_https() -> None:
    credentials = {
        "api_key": "live_1",
        "webhook_url": WEBHOOK_URL,
        "webhook_secrets": f"{SECRET},another secret of ours",
    }
    new_adapter("mollie", credentials, livemode=True)
    for name in credentials:
        with pytest.raises(BadCredentials, match=f"{name} is missing"):
            given = {k: v for k, v in credentials.items() if k != name}
            new_adapter("mollie", given, livemode=True)
    for changes in (
        {"base_url": "http://127.0.0.1:1"},
        {"webhook_url": "http://pay.example/hook"},
        {"webhook_url": f"{WEBHOOK_URL}?a=1"},
    ):
        with pytest.raises(BadCredentials, match="url"):
            new_adapter("mollie", credentials | changes, livemode=True)


def test_the_requests_and_the_face_are_those_of_mollies_document(
    face: MollieFace, sandbox: SandboxProcess, order_id: str
) -> None:
    document = specification()
    if document is None:
        pytest.skip(f"{SETTING} names no file of Mollie's OpenAPI document")
    face.payments.clear()
    key = f"test_{order_id.replace('-', '')}"
    checked = CheckedTransport(face.base_url, document, key=key)
    adapter = adapter_at(face.base_url, key, transport=checked)
    made = send(adapter, request_of(order_id))
    of_payment = {"currency": "EUR", "psp_payment_id": made.psp_payment_id}
    for kind, minor in ((K.CAPTURE, 300), (K.REFUND, 100), (K.VOID, 0)):
        send(adapter, make_request(kind, minor=minor, **of_payment))
    begun = send(adapter, request_of(order_id, "method:card"))
    send(adapter, make_request(K.VOID, currency="EUR", psp_payment_id=begun.psp_payment_id))
    adapter.look_up(LookUp(kind=K.AUTHORIZE, reference="op_none"), deadline_seconds=5)
    adapter.close()
    assert checked.checked > 10
    assert checked.violations == []
