"""What the adapter sends and what the face answers, held to Adyen's own specification by Prism."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from ledger.money import Money
from psp_adapters.adyen.adapter import RETURNED, AdyenAdapter
from psp_adapters.contract.notifications import WebhookRequest
from psp_adapters.contract.operations import LookUp, OperationKind, Outcome
from psp_adapters.contract.payments import FieldsRefused
from psp_adapters.contract.setups import SetupLookUp
from psp_adapters.tests.adyen.conftest import Kept
from psp_adapters.tests.adyen.test_adapter import BACK, CHALLENGED, GOOD
from psp_adapters.tests.adyen.test_page_fields import CARD
from psp_adapters.tests.suites.contract_suite import make_request, send, settled
from psp_adapters.tests.suites.setup_suite import ask
from psp_adapters.tests.support.adyen_documents import document_path
from psp_adapters.tests.support.adyen_face import ACCOUNT, API_KEY, HMAC_KEY, AdyenFace
from psp_adapters.tests.support.prism_process import prism
from psp_adapters.tests.support.sandbox_process import SandboxProcess

K = OperationKind
DOCUMENT = "adyen.CheckoutService-v72.json"
CHANGES = ("captures", "refunds", "cancels", "amountUpdates")
PATHS = (
    *("/payments", "/payments/details", "/cancels", "/storedPaymentMethods"),
    *(f"/payments/993617895204576J/{name}" for name in CHANGES),
)
pytestmark = pytest.mark.matrix(most=0)


@pytest.fixture
def checked(face: AdyenFace, kept: Kept) -> Iterator[AdyenAdapter]:
    """The adapter before a proxy that checks requests and answers, before the face."""
    upstream = face.base_url.removesuffix("/v72")
    with prism(document_path(DOCUMENT), paths=PATHS, upstream=upstream) as base_url:
        adapter = AdyenAdapter(
            api_key=API_KEY, merchant_account=ACCOUNT, base_url=base_url, stored=kept
        )
        kept.sales = face.sales
        face.listeners.append(
            lambda body: kept.keep(
                adapter.read_notifications(
                    WebhookRequest(headers={}, body=body), secrets=[HMAC_KEY], now=datetime.now(UTC)
                )
            )
        )
        yield adapter
        adapter.close()


def test_every_request_and_answer_of_a_payments_life_is_as_adyen_specifies(
    checked: AdyenAdapter, sandbox: SandboxProcess, order_id: str
) -> None:
    assert checked.find_token(GOOD, deadline_seconds=10).brand == "visa"
    hold = make_request(K.AUTHORIZE, order_id=order_id, token=GOOD, return_url=BACK)
    held = send(checked, hold)
    assert held.outcome is Outcome.SUCCEEDED
    payment = {"psp_payment_id": held.psp_payment_id}
    steps = (
        make_request(K.INCREMENT, minor=500, **payment),
        make_request(K.CAPTURE, minor=1200, **payment),
        make_request(K.REFUND, minor=300, **payment),
    )
    assert [settled(checked, each).outcome for each in steps] == [Outcome.SUCCEEDED] * 3

    sale = make_request(K.AUTHORIZE, order_id=order_id, token=GOOD, capture=True)
    assert send(checked, sale).outcome is Outcome.SUCCEEDED
    declined = make_request(
        K.AUTHORIZE, order_id=order_id, token="shopper-1/DECLINED00000001", three_d_secure="any"
    )
    assert send(checked, declined).outcome is Outcome.DECLINED

    second = make_request(K.AUTHORIZE, order_id=order_id, token=GOOD)
    voided = make_request(K.VOID, psp_payment_id=send(checked, second).psp_payment_id)
    assert settled(checked, voided).outcome is Outcome.SUCCEEDED

    challenged = make_request(K.AUTHORIZE, order_id=order_id, token=CHALLENGED, return_url=BACK)
    begun = send(checked, challenged)
    assert begun.outcome is Outcome.REQUIRES_ACTION
    view = sandbox.complete_challenge(begun.redirect_url)
    query = LookUp(
        kind=K.AUTHORIZE, reference=challenged.reference, returned={RETURNED: view["id"]}
    )
    completed = checked.look_up(query, deadline_seconds=10)
    assert completed is not None
    assert completed.outcome is Outcome.SUCCEEDED

    stopped = make_request(K.VOID, payment_reference=challenged.reference)
    assert settled(checked, stopped).outcome is Outcome.SUCCEEDED
    ideal = make_request(
        K.AUTHORIZE,
        order_id=order_id,
        token="method:ideal",
        capture=True,
        currency="EUR",
        return_url=BACK,
    )
    assert send(checked, ideal).outcome is Outcome.REQUIRES_ACTION


def test_every_request_and_answer_of_a_stored_cards_life_is_as_adyen_specifies(
    checked: AdyenAdapter, sandbox: SandboxProcess, order_id: str
) -> None:
    kept = checked.set_up(ask(GOOD, three_d_secure="any"), deadline_seconds=10)
    assert (kept.outcome, bool(kept.network_transaction_id)) == (Outcome.SUCCEEDED, True)
    asked = ask(CHALLENGED, usage="on_session")
    opened = checked.set_up(asked, deadline_seconds=10)
    assert opened.outcome is Outcome.REQUIRES_ACTION
    returned = {RETURNED: sandbox.complete_challenge(opened.redirect_url)["id"]}
    query = SetupLookUp(reference=asked.reference, returned=returned)
    completed = checked.look_up_setup(query, deadline_seconds=10)
    assert completed is not None
    assert completed.outcome is Outcome.SUCCEEDED
    for terms in ({"save_for": "off_session"}, {"off_session": True}):
        charge = make_request(
            K.AUTHORIZE, order_id=order_id, token=GOOD, return_url=BACK, capture=True, **terms
        )
        assert send(checked, charge).outcome is Outcome.SUCCEEDED
    entered = checked.token_of_fields(CARD, deadline_seconds=10)
    paid = make_request(
        K.AUTHORIZE, order_id=order_id, token=entered, return_url=BACK, capture=True
    )
    assert send(checked, paid).outcome is Outcome.SUCCEEDED
    with pytest.raises(FieldsRefused):
        checked.token_of_fields({**CARD, "encryptedCardNumber": "eyJ"}, deadline_seconds=10)
    checked.release_stored(GOOD, deadline_seconds=10)
    refused = send(checked, make_request(K.AUTHORIZE, order_id=order_id, token=GOOD))
    assert refused.outcome is Outcome.DECLINED


def test_adyens_own_example_answers_are_read_and_a_wrong_request_is_refused(kept: Kept) -> None:
    with prism(document_path(DOCUMENT), paths=PATHS) as base_url:
        adapter = AdyenAdapter(
            api_key=API_KEY, merchant_account=ACCOUNT, base_url=base_url, stored=kept
        )
        charge = make_request(K.AUTHORIZE, token=GOOD, return_url=BACK)
        answered = send(adapter, charge)
        assert answered.outcome is Outcome.UNKNOWN, "the example is not an answer to this request"
        void = make_request(K.VOID, psp_payment_id="993617895204576J")
        assert send(adapter, void).outcome in (Outcome.PENDING, Outcome.UNKNOWN)
        too_long = replace(charge, reference="r" * 81, amount=Money(1, "USD"))
        refused = send(adapter, too_long)
        assert (refused.outcome, "422" in refused.detail) == (Outcome.DECLINED, True)
        adapter.close()
