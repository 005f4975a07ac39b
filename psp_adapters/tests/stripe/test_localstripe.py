"""Stripe's adapter against localstripe, a double that others wrote, behind our proxy.

Nothing here imports localstripe: it is a process of its own, started once per session.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from psp_adapters.contract.notifications import WebhookRequest
from psp_adapters.contract.operations import LookUp, OperationKind, Outcome
from psp_adapters.contract.setups import SetupRequest, SetupResult
from psp_adapters.stripe.adapter import StripeAdapter
from psp_adapters.tests.suites.contract_suite import AdapterContract, make_request, send
from psp_adapters.tests.suites.fault_suite import FaultContract
from psp_adapters.tests.suites.setup_suite import SetupContract
from psp_adapters.tests.support.localstripe_process import API_KEY, LocalStripe
from psp_adapters.tests.support.receiver import SECRET, Receiver
from psp_adapters.tests.support.stripe_openapi import CheckedTransport, specification

PATHS = {
    "authorize": "POST /v1/payment_intents",
    "capture": "POST /v1/payment_intents/[^/]+/capture",
    "void": "POST /v1/payment_intents/[^/]+/cancel",
    "refund": "POST /v1/refunds",
    "look_up": "GET /v1/.*",
}


@pytest.fixture
def adapter(localstripe: LocalStripe) -> Iterator[StripeAdapter]:
    """Each request is checked against Stripe's OpenAPI document where a file of it is named."""
    base_url, document = localstripe.proxy.base_url, specification()
    checked = None if document is None else CheckedTransport(base_url, document)
    adapter = StripeAdapter(api_key=API_KEY, base_url=base_url, transport=checked)
    yield adapter
    adapter.close()
    assert checked is None or checked.violations == []


class TestStripeContract(AdapterContract, FaultContract, SetupContract):
    good_token = "pm_card_visa"
    declined_token = "pm_card_chargeCustomerFail"
    unknown_token = "pm_card_doesNotExist"
    declined_setup_token = "pm_card_visa_chargeDeclined"
    cannot = {
        "increment": "localstripe has no increments",
        "several_captures": "localstripe takes one capture",
        "until_when_it_holds": "localstripe does not say when a hold ends",
        "challenge_that_is_not_allowed": "localstripe lacks error_on_requires_action",
        "too_much_is_declined[refund]": "localstripe refunds more than was captured",
        "without_money_says_so[declined": "localstripe's decline does not name the payment",
    }

    @pytest.fixture(autouse=True)
    def _double(self, localstripe: LocalStripe) -> Iterator[None]:
        self.localstripe = localstripe
        self.challenged_token = localstripe.card_token("4000002500003155")
        self.others: list[StripeAdapter] = []
        yield
        for other in self.others:
            other.close()

    def drop_answer(self, kind: str, order_id: str, *, after: bool) -> None:
        self.localstripe.proxy.drop_next(PATHS[kind], after=after)

    def drop_setup(self, asked: SetupRequest, *, after: bool) -> None:
        self.localstripe.proxy.drop_next("POST /v1/setup_intents", after=after)

    def answer_setup_challenge(self, opened: SetupResult) -> dict[str, str]:
        self.localstripe.call("POST", f"/v1/setup_intents/{opened.psp_id}/confirm")
        return {}

    def adapter_of(self, *, base_url: str = "", api_key: str = "") -> StripeAdapter:
        other = StripeAdapter(
            api_key=api_key or API_KEY, base_url=base_url or self.localstripe.proxy.base_url
        )
        self.others.append(other)
        return other

    def answer_challenge(self, redirect_url: str, psp_payment_id: str, *, fail: bool) -> None:
        self.localstripe.authenticate(psp_payment_id, success=not fail)


def test_an_authorization_of_which_the_id_is_lost_is_found_in_the_list_since_it_was_sent(
    localstripe: LocalStripe, adapter: StripeAdapter, order_id: str
) -> None:
    request = make_request(OperationKind.AUTHORIZE, order_id=order_id, token="pm_card_visa")
    made = send(adapter, request)
    now = datetime.now(UTC)
    query = LookUp(kind=OperationKind.AUTHORIZE, reference=request.reference, sent_at=now)
    found = adapter.look_up(query, deadline_seconds=5)
    assert found is not None
    assert (found.psp_id, found.also_found) == (made.psp_id, ())
    _, path, _ = localstripe.proxy.calls[-1]
    assert "created" in path
    later = LookUp(
        kind=OperationKind.AUTHORIZE,
        reference=request.reference,
        sent_at=now + timedelta(minutes=10),
    )
    assert adapter.look_up(later, deadline_seconds=5) is None


def test_a_void_without_the_payments_id_voids_what_had_arrived_and_else_is_unknown(
    adapter: StripeAdapter, order_id: str
) -> None:
    request = make_request(OperationKind.AUTHORIZE, order_id=order_id, token="pm_card_visa")
    void = make_request(OperationKind.VOID, payment_reference=request.reference)
    assert send(adapter, void).outcome is Outcome.UNKNOWN
    send(adapter, request)
    voided = send(adapter, void)
    assert (voided.outcome, voided.amount) == (Outcome.SUCCEEDED, request.amount)


def test_an_event_of_localstripe_is_verified_and_names_our_operation(
    localstripe: LocalStripe, adapter: StripeAdapter, order_id: str
) -> None:
    with Receiver() as receiver:
        localstripe.configure_webhook(receiver.url, SECRET)
        request = make_request(
            OperationKind.AUTHORIZE, order_id=order_id, token="pm_card_visa", capture=True
        )
        made = send(adapter, request)
        own = made.psp_payment_id.encode()  # Events of other tests' payments come here, too.
        came = receiver.wait_until(lambda came: any(own in each.body for each in came))
    delivery = next(each for each in came if own in each.body)
    came = WebhookRequest(headers=delivery.headers, body=delivery.body)
    [read] = adapter.read_notifications(came, secrets=[SECRET], now=datetime.now(UTC))
    assert (read.type, read.known) == ("payment_intent.succeeded", True)
    assert (read.psp_payment_id, read.references) == (made.psp_payment_id, (request.reference,))
    assert (read.claims, read.is_sale) == (Outcome.SUCCEEDED, True)


def test_localstripe_listens_on_loopback_only(localstripe: LocalStripe) -> None:
    sockets = Path("/proc/net/tcp6")
    if not sockets.exists():
        pytest.skip("only Linux lists the sockets of the machine in /proc")
    rows = [line.split() for line in sockets.read_text().splitlines()[1:]]
    listening = [row[1] for row in rows if row[3] == "0A"]
    port = f":{localstripe.port:04X}"
    assert [each for each in listening if each.endswith(port)] == [
        f"0000000000000000FFFF00000100007F{port}"
    ]
