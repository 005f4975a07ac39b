"""Adyen's adapter, through Adyen's library, against a face of the sandbox PSP that speaks Adyen."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ledger.money import Money
from psp_adapters.adyen import vocabulary
from psp_adapters.adyen.adapter import RETURNED, AdyenAdapter
from psp_adapters.contract.operations import LookUp, OperationKind, Outcome, PspUnavailable
from psp_adapters.contract.setups import SetupRequest, SetupResult
from psp_adapters.tests.adyen.conftest import Kept
from psp_adapters.tests.suites.contract_suite import AdapterContract, make_request, send, settled
from psp_adapters.tests.suites.fault_suite import FaultContract
from psp_adapters.tests.suites.setup_suite import SetupContract
from psp_adapters.tests.support.adyen_face import ACCOUNT, API_KEY, AdyenFace
from psp_adapters.tests.support.sandbox_process import SandboxProcess

K = OperationKind
GOOD = "shopper-1/GOODCARD00000001"
CHALLENGED = "shopper-1/CHALLENGED000001"
BACK = "https://shop.example/back"
PATHS = {
    "authorize": "POST /payments",
    "increment": "POST /payments/[^/]+/amountUpdates",
    "capture": "POST /payments/[^/]+/captures",
    "void": "POST /payments/[^/]+/cancels",
    "refund": "POST /payments/[^/]+/refunds",
}


class TestAdyenContract(AdapterContract, FaultContract, SetupContract):
    good_token = GOOD
    declined_token = "shopper-1/DECLINED00000001"
    challenged_token = CHALLENGED
    unknown_token = "shopper-1/UNKNOWN000000001"
    declined_setup_token = declined_token
    cannot = {
        "until_when_it_holds": "Adyen does not say when a hold ends",
        "without_money_says_so[challenged": "a payment at a challenge has no id at Adyen yet",
        "a_look_up_whose_answer_is_lost": "look-ups are not calls to Adyen",
        "answered_challenge": "a test of its own: the customer brings back what completes it",
    }

    @pytest.fixture(autouse=True)
    def _face(self, face: AdyenFace, kept: Kept, sandbox: SandboxProcess) -> Iterator[None]:
        self.face, self.kept, self.sandbox = face, kept, sandbox
        self.others: list[AdyenAdapter] = []
        yield
        for other in self.others:
            other.close()

    def drop_answer(self, kind: str, order_id: str, *, after: bool) -> None:
        self.face.drop_next(PATHS[kind], after=after)

    def drop_setup(self, asked: SetupRequest, *, after: bool) -> None:
        self.face.drop_next(PATHS["authorize"], after=after)

    def answer_setup_challenge(self, opened: SetupResult) -> dict[str, str]:
        return {RETURNED: self.sandbox.complete_challenge(opened.redirect_url)["id"]}

    def adapter_of(self, *, base_url: str = "", api_key: str = "") -> AdyenAdapter:
        other = AdyenAdapter(
            api_key=api_key or API_KEY,
            merchant_account=ACCOUNT,
            base_url=base_url or self.face.base_url,
            stored=self.kept,
        )
        self.others.append(other)
        return other


@pytest.mark.parametrize("fail", [False, True], ids=["completed", "failed"])
def test_a_challenge_is_completed_with_what_the_customer_brings_back(
    face: AdyenFace,
    kept: Kept,
    adapter: AdyenAdapter,
    sandbox: SandboxProcess,
    order_id: str,
    fail: bool,
) -> None:
    request = make_request(
        K.AUTHORIZE, order_id=order_id, token=CHALLENGED, return_url=BACK, capture=True
    )
    begun = send(adapter, request)
    assert (begun.outcome, begun.psp_id, begun.psp_payment_id) == (Outcome.REQUIRES_ACTION, "", "")
    query = LookUp(kind=K.AUTHORIZE, reference=request.reference)
    assert adapter.look_up(query, deadline_seconds=5) is None
    assert kept.stored == []

    view = sandbox.complete_challenge(begun.redirect_url, fail=fail)
    back = LookUp(kind=K.AUTHORIZE, reference=request.reference, returned={RETURNED: view["id"]})
    others = LookUp(kind=K.AUTHORIZE, reference="op_other", returned={RETURNED: view["id"]})
    with pytest.raises(PspUnavailable, match="another reference"):
        adapter.look_up(others, deadline_seconds=5)
    kept.stored.clear()  # The notification is late.
    completed = adapter.look_up(back, deadline_seconds=5)
    assert completed is not None
    again = adapter.look_up(back, deadline_seconds=5)
    assert again is not None
    assert (again.psp_id, again.outcome) == (completed.psp_id, completed.outcome)
    if fail:
        code = "payment_intent_authentication_failure"
        assert (completed.outcome, completed.code) == (Outcome.DECLINED, code)
    else:
        assert (completed.outcome, completed.amount) == (Outcome.SUCCEEDED, request.amount)
    assert len(sandbox.effects(order_id=order_id, kind="capture")) == (0 if fail else 1)


def test_a_void_at_a_challenge_names_the_payment_by_our_reference(
    adapter: AdyenAdapter, order_id: str
) -> None:
    charge = make_request(K.AUTHORIZE, order_id=order_id, token=CHALLENGED, return_url=BACK)
    send(adapter, charge)
    void = make_request(K.VOID, payment_reference=charge.reference)
    nothing = settled(adapter, void)
    assert (nothing.outcome, nothing.amount) == (Outcome.SUCCEEDED, Money(0, "USD"))

    other = make_request(K.AUTHORIZE, order_id=order_id, token=GOOD)
    made = send(adapter, other)
    released = settled(adapter, make_request(K.VOID, payment_reference=other.reference))
    assert (released.outcome, released.amount) == (Outcome.SUCCEEDED, other.amount)
    assert released.psp_payment_id == made.psp_payment_id


def test_a_key_in_use_is_unknown_and_is_the_same_for_every_repeat(
    face: AdyenFace, adapter: AdyenAdapter, order_id: str
) -> None:
    request = make_request(K.AUTHORIZE, order_id=order_id, token=GOOD)
    send(adapter, request)
    key = face.calls[-1][2]["Idempotency-Key"]
    assert len(key) == 36
    face.in_progress.add(key)
    assert send(adapter, request).outcome is Outcome.UNKNOWN
    face.in_progress.clear()
    assert send(adapter, request).outcome is Outcome.SUCCEEDED
    assert {headers["Idempotency-Key"] for _, _, headers in face.calls} == {key}


def test_a_change_that_was_accepted_is_not_found_until_its_result_is_stated(
    face: AdyenFace, kept: Kept, adapter: AdyenAdapter, order_id: str
) -> None:
    made = send(adapter, make_request(K.AUTHORIZE, order_id=order_id, token=GOOD))
    stated = list(kept.stored)
    capture = make_request(K.CAPTURE, psp_payment_id=made.psp_payment_id)
    accepted = send(adapter, capture)
    assert accepted.outcome is Outcome.PENDING
    query = LookUp(
        kind=K.CAPTURE,
        reference=capture.reference,
        psp_id=accepted.psp_id,
        psp_payment_id=made.psp_payment_id,
    )
    late, kept.stored = kept.stored, stated
    assert adapter.look_up(query, deadline_seconds=5) is None
    kept.stored = late
    found = adapter.look_up(query, deadline_seconds=5)
    assert found is not None
    assert (found.outcome, found.amount) == (Outcome.SUCCEEDED, capture.amount)


def test_an_increment_is_not_sent_while_the_present_total_is_not_stated(
    face: AdyenFace, kept: Kept, adapter: AdyenAdapter, order_id: str
) -> None:
    made = send(adapter, make_request(K.AUTHORIZE, order_id=order_id, token=GOOD))
    kept.stored.clear()
    calls = len(face.calls)
    more = make_request(K.INCREMENT, minor=500, psp_payment_id=made.psp_payment_id)
    assert send(adapter, more).outcome is Outcome.NOT_SENT
    assert len(face.calls) == calls


def test_ideal_begins_without_a_token_and_sends_the_customer_away(
    adapter: AdyenAdapter, order_id: str
) -> None:
    described = adapter.find_token("method:ideal", deadline_seconds=5)
    assert described.method_type == "ideal"
    request = make_request(
        K.AUTHORIZE,
        order_id=order_id,
        token="method:ideal",
        capture=True,
        currency="EUR",
        return_url=BACK,
    )
    begun = send(adapter, request)
    assert begun.outcome is Outcome.REQUIRES_ACTION
    assert begun.redirect_url


def test_every_call_is_one_that_adyens_library_has(adapter: AdyenAdapter) -> None:
    """It would take any other name too, and do nothing then."""
    connection = adapter._connection
    for name in (*vocabulary.CALLS.values(), vocabulary.CALL_BY_REFERENCE):
        assert callable(connection.modification(name))
    with pytest.raises(LookupError):
        connection.modification("cancel_nothing")
