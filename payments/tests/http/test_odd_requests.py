"""Odd ids, headers and transfers: refused or read, never a 500."""

from __future__ import annotations

import base64
import time

import pytest
import stripe

from payments.services.commands.operators import merchants
from payments.tests.http.support.routes import ROUTES
from payments.tests.http.support.storefront import Storefront, Tables, new_order
from payments.tests.http.support.wire import FORM, JSON, Wire, encoded
from payments.tests.support.factories import TESTS

INTENTS = "/v1/payment_intents"
ODD_IDS = (
    *("%00", "%FF", "%2e%2e%2f", "pi_", "pi_%00", "pi_" + "9" * 22, "pi_" + "A" * 22),
    *("pi_" + "A" * 5_000, "0", "-1", "null", "%D0%BF%D0%B8", "pi_ADFC';--", "cus_x", "[id]"),
)


@pytest.mark.parametrize("odd", ODD_IDS, ids=lambda odd: odd[:16])
def test_an_odd_id_is_missing_on_every_route(
    storefront: Storefront, tables: Tables, odd: str
) -> None:
    before = tables.rows()
    for route in ROUTES:
        if not route.has_id:
            continue
        key = [("Idempotency-Key", new_order())] if route.method == "POST" else []
        sent = [("Authorization", f"Bearer {storefront.secret_key}"), *key]
        if route.method == "POST":
            sent.append(("Content-Type", FORM))
        body = b"customer=cus_x" if route.template.endswith("attach") else b""
        body = b"amount=1000" if "increment" in route.template else body
        reply = storefront.wire.send(route.method, route.path(odd), body, sent)
        # The customer of an attachment is unknown too, and named by a parameter.
        missing = (400, 404) if route.template.endswith("attach") else (404,)
        assert reply.status in missing, (str(route), reply.body)
        assert reply.error["type"] == "invalid_request_error"
    assert tables.rows() == before


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([("Transfer-Encoding", "gzip, chunked")], {400, 501}),
        ([("Stripe-Version", "２０２４-06-20".encode().decode("latin-1"))], {400}),
        ([("Stripe-Version", "x" * 5_000)], {400}),
        ([("Prefer", "wait=" + "9" * 5_000)], {400}),
        ([("Content-Encoding", "gzip")], {200, 400}),
        ([("X-Forwarded-For", "127.0.0.1, ::1"), ("X-User-Id", "1")], {200}),
        ([("X-Forwarded-Host", "evil.example.com")], {200}),
        ([("Cookie", "sessionid=1; csrftoken=2")], {200}),
        ([("Expect", "100-continue")], {200}),
    ],
    ids=lambda given: str(given)[:40],
)
def test_odd_headers_change_nothing_or_are_refused(
    storefront: Storefront, headers: list[tuple[str, str]], status: set[int]
) -> None:
    reply = storefront.wire.post(INTENTS, storefront.order(), key=new_order(), headers=headers)
    assert reply.status in status
    expected = ["authorize", "capture"] if reply.status == 200 else []
    assert [kind for kind, _ in storefront.effects()] == expected


@pytest.mark.parametrize("host", ["evil.example.com", "a b", "127.0.0.1:99999"])
def test_another_host_is_refused(storefront: Storefront, tables: Tables, host: str) -> None:
    before = tables.rows()
    sent = [("Host", host), ("Authorization", f"Bearer {storefront.secret_key}")]
    reply = storefront.wire.send("GET", "/return/pi_x?token=x", headers=sent)
    assert reply.status in (400, 404)
    assert host.encode() not in reply.body
    assert tables.rows() == before


def test_parameters_in_url_and_body_together_are_refused(
    storefront: Storefront, tables: Tables
) -> None:
    before = tables.rows()
    wire, order = storefront.wire, storefront.order()
    in_query = wire.post(f"{INTENTS}?amount=1000", order, key=new_order())
    authorization = ("Authorization", f"Bearer {storefront.secret_key}")
    in_body = wire.send(
        "GET", INTENTS, b"limit=1", [authorization, ("Content-Type", FORM), ("Content-Length", "7")]
    )
    assert in_query.refusal[:2] == (400, "parameters_misplaced")
    assert in_body.refusal[:2] == (400, "parameters_misplaced")
    assert tables.rows() == before


def test_a_key_in_another_alphabet_is_no_key(storefront: Storefront) -> None:
    strange = "Bearer ключ".encode().decode("latin-1")
    reply = storefront.wire.send("GET", "/v1/balance", headers=[("Authorization", strange)])
    assert reply.status == 401


def test_a_key_as_user_of_http_basic_is_let_in(storefront: Storefront) -> None:
    credentials = base64.b64encode(f"{storefront.secret_key}:".encode()).decode()
    header = ("Authorization", f"Basic {credentials}")
    assert storefront.wire.send("GET", "/v1/balance", headers=[header]).status == 200


def test_a_key_that_is_revoked_while_in_use_ends_within_seconds(storefront: Storefront) -> None:
    key, secret = merchants.issue_api_key(
        merchant=storefront.merchant, livemode=False, author=TESTS
    )
    wire = Wire(storefront.server.base_url, secret)
    for _ in range(6):
        assert wire.get("/v1/balance").status == 200
    merchants.revoke_api_key(key, author=TESTS)
    end = time.monotonic() + 5
    while any(wire.get("/v1/balance").status == 200 for _ in range(6)):
        assert time.monotonic() < end, "a revoked key still works"
        time.sleep(0.1)


@pytest.mark.parametrize(
    "text",
    [
        "\N{RIGHT-TO-LEFT OVERRIDE}gnp.exe",
        "zero\N{ZERO WIDTH SPACE}width",
        "\N{GRINNING FACE}",
        "<script>alert(1)</script>",
        "{{7*7}} ${jndi:ldap://x}",
        "'; DROP TABLE payments_operation; --",
        "two\nlines",
    ],
)
def test_text_is_kept_as_it_was_written(storefront: Storefront, text: str) -> None:
    made = storefront.pay(confirm=None, description=text)
    assert made.description == text
    assert storefront.stripe.v1.payment_intents.retrieve(made.id).description == text


@pytest.mark.parametrize("media_type", [FORM, JSON])
@pytest.mark.parametrize("name", ["description", "metadata"])
def test_control_characters_are_refused(
    storefront: Storefront, tables: Tables, media_type: str, name: str
) -> None:
    before = tables.rows()
    text = "a\x1b[31mb"
    value = {"note": text} if name == "metadata" else text
    body = encoded(storefront.order(**{name: value}), media_type)
    refused = storefront.wire.post(INTENTS, body, key=new_order(), media_type=media_type)
    assert refused.status == 400
    assert refused.error["param"].startswith(name)
    assert tables.rows() == before


def test_the_return_page_shows_nothing_without_its_token(storefront: Storefront) -> None:
    paid = storefront.pay()
    for path in (
        f"/return/{paid.id}",
        f"/return/{paid.id}?token=",
        f"/return/{paid.id}?token=" + "0" * 40,
        f"/return/{paid.id}?token=%00",
        "/return/pi_nothing?token=x",
    ):
        reply = storefront.wire.send("GET", path)
        assert reply.status == 404
        assert paid.id.encode() not in reply.body


def test_customers_and_methods_are_made_once_per_key(storefront: Storefront) -> None:
    key = new_order()
    first = storefront.wire.post("/v1/customers", {"name": "Ann"}, key=key)
    again = storefront.wire.post("/v1/customers", {"name": "Ann"}, key=key)
    other = storefront.wire.post("/v1/customers", {"name": "Bob"}, key=key)
    assert (first.status, again.body) == (200, first.body)
    assert again.headers["idempotent-replayed"] == "true"
    assert (other.status, other.error["type"]) == (400, "idempotency_error")
    assert len(storefront.stripe.v1.customers.list().data) == 1


def test_an_sdk_that_repeats_a_read_gets_it_again(storefront: Storefront) -> None:
    customer = storefront.stripe.v1.customers.create({"name": "Ann"})
    storefront.stripe.v1.customers.delete(customer.id)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        storefront.stripe.v1.customers.delete(customer.id)
    assert (refused.value.http_status, refused.value.code) == (404, "resource_missing")
