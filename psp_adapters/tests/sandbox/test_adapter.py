"""The sandbox PSP's adapter against the real simulator: the contract, and each way to fail."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from ledger.money import Money
from psp_adapters.contract.adapter import PspAdapter
from psp_adapters.contract.operations import LookUp, OperationKind, Outcome, PspUnavailable
from psp_adapters.contract.payments import PspOperationKind, PspPaymentStatus
from psp_adapters.contract.setups import SetupRequest, SetupResult
from psp_adapters.sandbox.adapter import SandboxAdapter
from psp_adapters.tests.suites.contract_suite import AdapterContract, make_request, send
from psp_adapters.tests.suites.dispute_suite import DisputeContract
from psp_adapters.tests.suites.fault_suite import FaultContract
from psp_adapters.tests.suites.setup_suite import SetupContract
from psp_adapters.tests.support.sandbox_process import SandboxProcess


class TestSandboxContract(AdapterContract, FaultContract, SetupContract, DisputeContract):
    good_token = "pm_card_visa"
    declined_token = "pm_card_visa_chargeDeclined"
    challenged_token = "pm_card_threeDSecure2Required"
    unknown_token = "pm_card_doesNotExist"
    declined_setup_token = "pm_card_chargeDeclined"

    @pytest.fixture(autouse=True)
    def _truth(self, sandbox: SandboxProcess, api_key: str) -> Iterator[None]:
        self.sandbox, self.api_key = sandbox, api_key
        self.others: list[SandboxAdapter] = []
        yield
        for other in self.others:
            other.close()

    def open_dispute(self, adapter: PspAdapter, order_id: str) -> str:
        opened: str = self.sandbox.open_dispute(order_id=order_id)["id"]
        return opened

    def drop_answer(self, kind: str, order_id: str, *, after: bool) -> None:
        of = {} if kind == "look_up" else {"order_id": order_id}
        self.sandbox.script({"drop_after" if after else "drop_before": 1}, kind=kind, **of)

    def drop_setup(self, asked: SetupRequest, *, after: bool) -> None:
        fault = {"drop_after" if after else "drop_before": 1}
        self.sandbox.script(fault, reference=asked.reference, kind="setup")

    def answer_setup_challenge(self, opened: SetupResult) -> dict[str, str]:
        self.sandbox.complete_challenge(opened.redirect_url)
        return {}

    def adapter_of(self, *, base_url: str = "", api_key: str = "") -> SandboxAdapter:
        other = SandboxAdapter(
            base_url=base_url or self.sandbox.base_url, api_key=api_key or self.api_key
        )
        self.others.append(other)
        return other

    def answer_challenge(self, redirect_url: str, psp_payment_id: str, *, fail: bool) -> None:
        self.sandbox.complete_challenge(redirect_url, fail=fail)


def test_the_check_of_credentials_names_what_is_wrong(
    sandbox: SandboxProcess, api_key: str
) -> None:
    for key, faults in ((api_key, []), ("of-another-psp", ["api_key"])):
        adapter = SandboxAdapter(base_url=sandbox.base_url, api_key=key)
        assert [each.name for each in adapter.check_credentials(deadline_seconds=5)] == faults
        adapter.close()
    elsewhere = SandboxAdapter(base_url=f"{sandbox.base_url}/elsewhere", api_key=api_key)
    assert [each.name for each in elsewhere.check_credentials(deadline_seconds=5)] == ["base_url"]
    unreachable = SandboxAdapter(base_url="http://127.0.0.1:1", api_key=api_key)
    with pytest.raises(PspUnavailable):
        unreachable.check_credentials(deadline_seconds=5)


@pytest.mark.parametrize(
    ("fault", "outcome", "effects"),
    [
        ("down", Outcome.UNKNOWN, 0),
        ("rate_limit", Outcome.NOT_SENT, 0),
        ("error_before", Outcome.UNKNOWN, 0),
        ("drop_before", Outcome.UNKNOWN, 0),
        ("hang_before", Outcome.UNKNOWN, 0),
        ("error_after", Outcome.UNKNOWN, 1),
        ("drop_after", Outcome.UNKNOWN, 1),
        ("hang", Outcome.UNKNOWN, 1),
        ("truncate", Outcome.UNKNOWN, 1),
        ("contradict", Outcome.UNKNOWN, 1),
    ],
)
def test_the_outcome_after_every_fault_is_unknown_and_a_repeat_finds_one_effect(
    sandbox: SandboxProcess,
    adapter: SandboxAdapter,
    order_id: str,
    fault: str,
    outcome: Outcome,
    effects: int,
) -> None:
    sandbox.script({fault: 1}, order_id=order_id)
    request = make_request(OperationKind.AUTHORIZE, order_id=order_id, token="pm_card_visa")
    result = adapter.authorize(request, deadline_seconds=0.4)
    assert result.outcome is outcome
    assert result.detail
    assert len(sandbox.effects(order_id=order_id)) == effects
    again = send(adapter, request)
    assert again.outcome is Outcome.SUCCEEDED
    assert [each["kind"] for each in sandbox.effects(order_id=order_id)] == ["authorize"]


def test_a_rate_limit_has_a_retry_after(
    sandbox: SandboxProcess, adapter: SandboxAdapter, order_id: str
) -> None:
    sandbox.script({"rate_limit": 1}, order_id=order_id)
    request = make_request(OperationKind.AUTHORIZE, order_id=order_id, token="pm_card_visa")
    assert send(adapter, request).retry_after_seconds == 1.0


def test_a_scripted_decline_reaches_any_operation(
    sandbox: SandboxProcess, adapter: SandboxAdapter, order_id: str
) -> None:
    made = send(
        adapter, make_request(OperationKind.AUTHORIZE, order_id=order_id, token="pm_card_visa")
    )
    no = {"code": "card_declined", "decline_code": "do_not_honor"}
    capture = make_request(OperationKind.CAPTURE, psp_payment_id=made.psp_payment_id)
    sandbox.script({"decline": no}, reference=capture.reference)
    result = send(adapter, capture)
    assert (result.outcome, result.decline_code) == (Outcome.DECLINED, "do_not_honor")
    assert not sandbox.effects(order_id=order_id, kind="capture")


def test_a_void_without_a_payment_id_fences_a_charge_that_never_arrived(
    sandbox: SandboxProcess, adapter: SandboxAdapter, order_id: str
) -> None:
    request = make_request(OperationKind.AUTHORIZE, order_id=order_id, token="pm_card_visa")
    void = make_request(OperationKind.VOID, payment_reference=request.reference)
    result = send(adapter, void)
    assert (result.outcome, result.amount) == (Outcome.SUCCEEDED, Money.zero("USD"))
    assert send(adapter, request).outcome is Outcome.DECLINED
    assert not sandbox.effects(order_id=order_id)


def test_a_void_without_a_payment_id_voids_a_charge_that_had_arrived(
    sandbox: SandboxProcess, adapter: SandboxAdapter, order_id: str
) -> None:
    request = make_request(OperationKind.AUTHORIZE, order_id=order_id, token="pm_card_visa")
    send(adapter, request)
    result = send(adapter, make_request(OperationKind.VOID, payment_reference=request.reference))
    assert (result.outcome, result.amount) == (Outcome.SUCCEEDED, Money(1000, "USD"))
    assert [each["kind"] for each in sandbox.effects(order_id=order_id)] == ["authorize", "void"]


def test_a_look_up_without_an_answer_is_unavailable_and_not_not_found(
    sandbox: SandboxProcess, adapter: SandboxAdapter
) -> None:
    query = LookUp(kind=OperationKind.AUTHORIZE, reference="whatever")
    for fault in ("down", "drop_before", "error_before", "rate_limit", "truncate"):
        sandbox.script({fault: 1}, kind="look_up")
        with pytest.raises(PspUnavailable):
            adapter.look_up(query, deadline_seconds=5)


def test_a_fence_that_cannot_be_answered_leaves_the_void_unknown(
    sandbox: SandboxProcess, adapter: SandboxAdapter
) -> None:
    sandbox.script({"drop_before": 1}, kind="fence")
    result = send(adapter, make_request(OperationKind.VOID, payment_reference="whatever"))
    assert result.outcome is Outcome.UNKNOWN


def test_a_look_up_for_another_kind_is_a_contradiction(
    adapter: SandboxAdapter, order_id: str
) -> None:
    request = make_request(OperationKind.AUTHORIZE, order_id=order_id, token="pm_card_visa")
    send(adapter, request)
    query = LookUp(kind=OperationKind.CAPTURE, reference=request.reference)
    with pytest.raises(PspUnavailable, match="contradictory"):
        adapter.look_up(query, deadline_seconds=5)


def test_a_token_is_looked_up_once(sandbox: SandboxProcess, adapter: SandboxAdapter) -> None:
    before = len(sandbox.calls(kind="token"))
    first = adapter.find_token("tok_mastercard", deadline_seconds=5)
    assert adapter.find_token("tok_mastercard", deadline_seconds=5) is first
    assert len(sandbox.calls(kind="token")) == before + 1


def test_a_late_effect_comes_after_our_deadline(
    sandbox: SandboxProcess, adapter: SandboxAdapter, order_id: str
) -> None:
    sandbox.script({"latency_ms": 1500}, order_id=order_id)
    request = make_request(OperationKind.AUTHORIZE, order_id=order_id, token="pm_card_visa")
    result = adapter.authorize(request, deadline_seconds=0.2)
    assert result.outcome is Outcome.UNKNOWN
    assert not sandbox.effects(order_id=order_id)
    # The first request is still under way: a repeat is refused and stays unknown.
    assert adapter.authorize(request, deadline_seconds=5).outcome is Outcome.UNKNOWN
    sandbox.wait_for(order_id=order_id, kind="authorize")
    assert send(adapter, request).outcome is Outcome.SUCCEEDED
    assert len(sandbox.effects(order_id=order_id)) == 1


def test_one_key_per_operation_is_seen_by_the_psp(
    sandbox: SandboxProcess, adapter: SandboxAdapter, order_id: str
) -> None:
    request = make_request(OperationKind.AUTHORIZE, order_id=order_id, token="pm_card_visa")
    send(adapter, request)
    send(adapter, replace(request))
    calls = sandbox.calls(order_id=order_id)
    assert [call["idempotency_key"] for call in calls] == [request.psp_key] * 2
    assert [(call["executed"], call["replayed"]) for call in calls] == [
        (True, False),
        (False, True),
    ]


def test_an_expired_hold_is_an_operation_of_the_psp(
    sandbox: SandboxProcess, adapter: SandboxAdapter, order_id: str
) -> None:
    token = "pm_card_authorizationExpiresNow"
    made = send(adapter, make_request(OperationKind.AUTHORIZE, order_id=order_id, token=token))
    part = make_request(
        OperationKind.CAPTURE, minor=300, psp_payment_id=made.psp_payment_id, final=False
    )
    send(adapter, part)
    sandbox.advance(3)

    payment = adapter.look_up_payment(made.psp_payment_id, deadline_seconds=5)
    assert payment is not None
    assert (payment.status, payment.held) == (PspPaymentStatus.CAPTURED, Money(0, "USD"))
    assert [(act.kind, act.amount.minor, act.final) for act in payment.operations] == [
        (PspOperationKind.AUTHORIZE, 1000, True),
        (PspOperationKind.CAPTURE, 300, False),
        (PspOperationKind.EXPIRE, 700, True),
    ]


def test_a_change_after_the_expiry_is_declined_as_expired(
    sandbox: SandboxProcess, adapter: SandboxAdapter, order_id: str
) -> None:
    token = "pm_card_authorizationExpiresNow"
    made = send(adapter, make_request(OperationKind.AUTHORIZE, order_id=order_id, token=token))
    sandbox.advance(3)
    capture = make_request(OperationKind.CAPTURE, psp_payment_id=made.psp_payment_id)
    result = send(adapter, capture)
    assert (result.outcome, result.code) == (Outcome.DECLINED, "charge_expired_for_capture")
    assert [each["kind"] for each in sandbox.effects(order_id=order_id)] == ["authorize", "expire"]


def test_an_operation_in_the_dashboard_is_found_by_its_id_only(
    sandbox: SandboxProcess, adapter: SandboxAdapter, order_id: str
) -> None:
    request = make_request(
        OperationKind.AUTHORIZE, order_id=order_id, token="pm_card_visa", capture=True
    )
    made = send(adapter, request)
    act = sandbox.act("refund", order_id=order_id, amount_minor=400)

    payment = adapter.look_up_payment(made.psp_payment_id, deadline_seconds=5)
    assert payment is not None
    last = payment.operations[-1]
    assert (last.kind, last.psp_id, last.reference) == (PspOperationKind.REFUND, act["id"], "")
    query = LookUp(kind=OperationKind.REFUND, reference="", psp_id=last.psp_id)
    found = adapter.look_up(query, deadline_seconds=5)
    assert found is not None
    assert (found.outcome, found.amount) == (Outcome.SUCCEEDED, Money(400, "USD"))
    absent = replace(query, psp_id="sop_unknown")
    assert adapter.look_up(absent, deadline_seconds=5) is None


def test_a_payment_look_up_without_an_answer_is_unavailable_and_not_not_found(
    sandbox: SandboxProcess, adapter: SandboxAdapter
) -> None:
    for fault in ("down", "drop_before", "error_before", "rate_limit", "truncate"):
        sandbox.script({fault: 1}, kind="look_up")
        with pytest.raises(PspUnavailable):
            adapter.look_up_payment("whatever", deadline_seconds=5)
