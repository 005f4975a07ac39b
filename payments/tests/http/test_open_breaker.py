"""An open circuit over HTTP: nothing is sent, the answer says so at once, and it closes again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import stripe

from payments.models import Merchant
from payments.services.commands.operators import merchants
from payments.services.psp_gateway import circuit_breaker
from payments.tests.http.conftest import ServerDatabase
from payments.tests.http.support.servers import ApiServer, variables_of
from payments.tests.http.support.storefront import Storefront, new_order
from payments.tests.http.support.wire import Reply
from payments.tests.support.factories import TESTS, sandbox_account
from psp_adapters.tests.support.sandbox_process import SandboxProcess

INTENTS = "/v1/payment_intents"
ONCE = [("authorize", 10_000), ("capture", 10_000)]
WORKERS = 1


@pytest.fixture(scope="module")
def own_server(
    server_database: ServerDatabase,
    sandbox_psp: SandboxProcess,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ApiServer]:
    """A server whose circuits no other test needs closed."""
    folder = tmp_path_factory.mktemp("breaker")
    server = ApiServer(folder, variables_of(server_database.application_url), workers=WORKERS)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def storefront(
    own_server: ApiServer, sandbox_psp: SandboxProcess, same_database: None
) -> Iterator[Storefront]:
    account = sandbox_account()
    merchant: Merchant = merchants.create_merchant(
        name="Breaker", test_psp_account=account, author=TESTS
    )
    _, secret_key = merchants.issue_api_key(merchant=merchant, livemode=False, author=TESTS)
    yield Storefront(own_server, sandbox_psp, merchant, secret_key)
    sandbox_psp.heal()


def test_an_open_circuit_answers_503_and_other_requests_still_work(storefront: Storefront) -> None:
    held = storefront.pay(capture_method="manual")
    paid = storefront.pay()
    storefront.psp.set_behavior(error_before=1.0, kinds=["authorize"])
    in_doubt = open_the_circuits(storefront)
    charges_before = len(storefront.psp.calls(kind="authorize"))

    key, order = new_order(), new_order()
    refused = charge(storefront, key, order)

    # Not sent, said at once, with when to come again; the key is free and nothing is open.
    assert refused.refusal[:2] == (503, "psp_unavailable")
    assert 1 <= int(refused.headers["retry-after"]) <= 6
    assert refused.headers["stripe-should-retry"] == "true"
    assert len(storefront.psp.calls(kind="authorize")) == charges_before
    last = storefront.operations().last()
    assert (last.status, last.detail) == ("NOT_SENT", "the circuit is open")
    metrics = storefront.wire.send("GET", "/metrics").body.decode()
    assert 'payments_psp_breaker_state{account="sandbox",kind="charge"} 2.0' in metrics
    assert 'reason="open"' in metrics

    # A merchant's code sees an exception, whose headers tell the SDK to repeat the request.
    without_repeats = stripe.StripeClient(
        storefront.secret_key,
        base_addresses={"api": storefront.server.base_url},
        max_network_retries=0,
    )
    another = storefront.order(metadata={"order_id": new_order()})
    with pytest.raises(stripe.APIError) as seen:
        without_repeats.v1.payment_intents.create(another)  # type: ignore[arg-type]
    assert seen.value.http_status == 503
    assert seen.value.headers is not None
    assert seen.value.headers["stripe-should-retry"] == "true"

    # Changes, look-ups and recovery have circuits of their own, which are closed.
    intents = storefront.stripe.v1.payment_intents
    assert intents.capture(held.id).status == "succeeded"
    refund = storefront.stripe.v1.refunds.create({"payment_intent": paid.id})
    assert refund.status == "succeeded"
    # The token is new, so the PSP must look it up.
    described = storefront.order(confirm=None, payment_method="pm_card_mastercard")
    described["metadata"] = {"order_id": new_order()}
    assert intents.create(described).status == "requires_confirmation"  # type: ignore[arg-type]

    # The PSP is back: recovery finds what was in doubt, and the same key gets through.
    storefront.psp.heal()
    storefront.settle()
    assert not storefront.operations().filter(closed_at__isnull=True).exists()
    statuses = {intents.retrieve(intent_id).status for intent_id in in_doubt}
    assert "processing" not in statuses
    answer = until_let_through(lambda: charge(storefront, key, order))
    assert answer.json["status"] == "succeeded"
    assert storefront.effects(order) == ONCE
    listed = [i.id for i in intents.list({"limit": 100}).auto_paging_iter()]
    assert listed.count(answer.json["id"]) == 1


def open_the_circuits(storefront: Storefront) -> list[str]:
    """Fail often enough that every process of the server has seen it; the payments in doubt."""
    calls = 2 * WORKERS * circuit_breaker.CALLS_MIN
    orders = [new_order() for _ in range(calls)]
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda order: charge(storefront, order, order), orders))
    end = time.monotonic() + 30
    while not all(charge(storefront, new_order(), new_order()).status == 503 for _ in range(12)):
        assert time.monotonic() < end, "a circuit stays closed"
    assert {answer.status for answer in answers} <= {200, 503}
    return [answer.json["id"] for answer in answers if answer.status == 200]


def charge(storefront: Storefront, key: str, order: str) -> Reply:
    parameters = storefront.order(metadata={"order_id": order})
    return storefront.wire.post(INTENTS, parameters, key=key)


def until_let_through(send: Callable[[], Reply]) -> Reply:
    """Do what the answer says: come again with the same key."""
    end = time.monotonic() + 60
    while (answer := send()).status == 503:
        assert time.monotonic() < end, "the circuit does not close"
        time.sleep(0.2)
    return answer
