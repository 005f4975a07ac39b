"""Requests that no SDK would send: refused by name, never a 500, and nothing is written."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payments.tests.http.support.storefront import Storefront, Tables, new_order
from payments.tests.http.support.wire import FORM, JSON, Reply, encoded
from paymentsite.tests.fixtures.matrix import examples

INTENTS = "/v1/payment_intents"
INTEGER = "parameter_invalid_integer"
MEBIBYTE = 1024 * 1024

# As a form writes them: what stands after `amount=`, already encoded.
FORM_AMOUNTS = {
    "0": INTEGER,
    "-1": INTEGER,
    "-0": INTEGER,
    "%2B1000": INTEGER,
    "100.0": INTEGER,
    "1e2": INTEGER,
    "%EF%BC%91%EF%BC%90%EF%BC%90%EF%BC%90": INTEGER,  # full-width digits
    "%D9%A1%D9%A0%D9%A0%D9%A0": INTEGER,  # Arabic-Indic digits
    "1_000": INTEGER,
    "+1000": INTEGER,  # a blank
    "%201000": INTEGER,
    "1000%0A": INTEGER,
    "01000": INTEGER,
    "0x3e8": INTEGER,
    "true": INTEGER,
    "null": INTEGER,
    "NaN": INTEGER,
    "": "parameter_invalid_empty",
    "49": "amount_too_small",
    "100000000": "amount_too_large",
    "9007199254740993": "amount_too_large",
    "9223372036854775808": "amount_too_large",
    "1" + "0" * 30: "amount_too_large",
    "1" * 5_000: INTEGER,
}

# As JSON writes them.
JSON_AMOUNTS = {
    "0": INTEGER,
    "-1": INTEGER,
    "-0": INTEGER,
    "100.0": INTEGER,
    "1000.5": INTEGER,
    "1e3": INTEGER,
    '"1000"': INTEGER,
    '"１０００"': INTEGER,
    '"1000\\n"': INTEGER,
    "true": INTEGER,
    "[1000]": INTEGER,
    '{"a": 1}': INTEGER,
    "null": "parameter_invalid_empty",
    '""': "parameter_invalid_empty",
    "49": "amount_too_small",
    "100000000": "amount_too_large",
    "9007199254740993": "amount_too_large",
    "9223372036854775808": "amount_too_large",
    "1" + "0" * 30: "amount_too_large",
}

# Whole bodies that say no amount at all, or two; the amount is to blame in some.
JSON_BODIES = {
    '{"amount": NaN, "currency": "usd"}': "body_malformed",
    '{"amount": Infinity, "currency": "usd"}': "body_malformed",
    '{"amount": 1e400, "currency": "usd"}': "body_malformed",
    '{"amount": ' + "1" * 5_000 + ', "currency": "usd"}': INTEGER,
    '{"amount": 1000, "amount": 1, "currency": "usd"}': "parameter_repeated",
    '{"amount": 1000, "currency": "usd", "description": "\\ud800"}': "body_malformed",
    '{"amount": 1000, "currency": "usd", "description": "\\u0000"}': "body_malformed",
    '{"amount": 1000, "currency": "usd"} x': "body_malformed",
    "{'amount': 1000}": "body_malformed",
    "[]": "body_malformed",
    "null": "body_malformed",
    '"amount"': "body_malformed",
    "[" * 100_000: "parameters_too_deep",
    '{"metadata": ' * 50 + "1" + "}" * 50: "parameters_too_deep",
    '{"metadata": {' + ", ".join(f'"k{n}": "v"' for n in range(10_000)) + "}}": (
        "parameters_too_many"
    ),
}


@pytest.mark.parametrize("amount", FORM_AMOUNTS, ids=lambda text: text[:24])
def test_amounts_in_a_form_are_decimal_digits_only(
    storefront: Storefront, tables: Tables, amount: str
) -> None:
    body = encoded(storefront.order(amount=None), FORM) + f"&amount={amount}".encode()
    refused = nothing_written(storefront, tables, body, FORM)
    assert refused.refusal == (400, FORM_AMOUNTS[amount], "amount")


@pytest.mark.parametrize("amount", JSON_AMOUNTS, ids=lambda text: text[:24])
def test_amounts_in_json_are_integers_only(
    storefront: Storefront, tables: Tables, amount: str
) -> None:
    rest = json.dumps(storefront.order(amount=None))
    body = f'{{"amount": {amount}, {rest[1:]}'.encode()
    refused = nothing_written(storefront, tables, body, JSON)
    assert refused.refusal == (400, JSON_AMOUNTS[amount], "amount")


@pytest.mark.parametrize("body", JSON_BODIES, ids=lambda text: text[:24])
def test_json_that_two_parsers_could_read_differently_is_refused(
    storefront: Storefront, tables: Tables, body: str
) -> None:
    refused = nothing_written(storefront, tables, body.encode(), JSON)
    assert refused.refusal[:2] == (400, JSON_BODIES[body])


@pytest.mark.parametrize("currency", ["UЅD", "us", "USD ", " usd", "xxx", "usdd", "U$D", "xau", ""])
@pytest.mark.parametrize("media_type", [FORM, JSON])
def test_an_unknown_currency_is_refused_however_it_is_written(
    storefront: Storefront, tables: Tables, currency: str, media_type: str
) -> None:
    body = encoded(storefront.order(currency=currency), media_type)
    refused = nothing_written(storefront, tables, body, media_type)
    code = "parameter_invalid" if currency else "parameter_invalid_empty"
    assert refused.refusal == (400, code, "currency")


@pytest.mark.parametrize(
    "name",
    [
        *("status", "captured_amount", "amount_received", "amount_capturable", "merchant_id"),
        *("livemode", "fee", "psp_id", "created", "created_at", "id", "object", "client_secret"),
        *("published_status", "order_id", "idempotency_key", "__proto__"),
    ],
)
@pytest.mark.parametrize("media_type", [FORM, JSON])
def test_parameters_of_internal_fields_are_unknown(
    storefront: Storefront, tables: Tables, name: str, media_type: str
) -> None:
    body = encoded({**storefront.order(), name: "succeeded"}, media_type)
    refused = nothing_written(storefront, tables, body, media_type)
    assert refused.refusal == (400, "parameter_unknown", name)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"amount=1000&amount=1&currency=usd", "parameter_repeated"),
        (b"amount=1000&amount[0]=1&currency=usd", "parameter_conflicting"),
        (b"metadata[a]=1&metadata[a]=2", "parameter_repeated"),
        (b"metadata[a]=1&metadata[a][b]=2", "parameter_conflicting"),
        (b"amount", "parameters_malformed"),
        (b"amount=%ZZ", "parameters_malformed"),
        (b"amount=%00", "parameters_malformed"),
        (b"description=%FF", "parameters_malformed"),
        (b"amount[=1", "parameters_malformed"),
        (b"a" + b"[a]" * 40 + b"=1", "parameters_too_deep"),
        (b"&".join(b"metadata[k%d]=v" % n for n in range(10_000)), "parameters_too_many"),
    ],
    ids=lambda given: str(given)[:24],
)
def test_a_form_that_two_parsers_could_read_differently_is_refused(
    storefront: Storefront, tables: Tables, body: bytes, code: str
) -> None:
    refused = nothing_written(storefront, tables, body, FORM)
    assert refused.refusal[:2] == (400, code)


@pytest.mark.parametrize(
    ("media_type", "body"),
    [
        ("text/plain", b"amount=1000"),
        ("multipart/form-data; boundary=x", b"--x--"),
        ("application/xml", b"<amount/>"),
        ("", b"amount=1000"),
        (f"{JSON}; charset=utf-16", json.dumps({"amount": 1}).encode("utf-16")),
        (JSON, b"\xef\xbb\xbf{}"),
        (JSON, json.dumps({"amount": 1}).encode("utf-16")),
        (JSON, gzip.compress(b'{"amount": 1000}', mtime=0)),
    ],
)
def test_another_media_type_or_encoding_is_refused(
    storefront: Storefront, tables: Tables, media_type: str, body: bytes
) -> None:
    refused = nothing_written(storefront, tables, body, media_type)
    assert refused.status == 400
    assert refused.error["code"] in {
        *("content_type_unsupported", "body_malformed", "parameters_malformed"),
    }


def test_the_size_of_a_body_is_limited(storefront: Storefront, tables: Tables) -> None:
    for media_type, filler in ((FORM, b"description="), (JSON, b'{"description": "')):
        body = filler + b"x" * (MEBIBYTE + 1 - len(filler))
        refused = nothing_written(storefront, tables, body, media_type)
        assert refused.refusal[:2] == (400, "body_too_large")


@pytest.mark.parametrize("media_type", [FORM, JSON])
def test_a_card_number_in_any_parameter_is_refused_and_never_repeated(
    storefront: Storefront, tables: Tables, media_type: str
) -> None:
    number = "4242424242424242"
    for more in (
        {"description": f"card {number}"},
        {"metadata": {"note": number}},
        {"metadata": {number: "note"}},
        {"payment_method": number},
        {number: "x"},
        {"receipt_email": f"{number}@example.com"},
    ):
        body = encoded(storefront.order(**more), media_type)
        refused = nothing_written(storefront, tables, body, media_type)
        assert refused.refusal[:2] == (400, "card_data_not_allowed"), more
        assert number.encode() not in refused.body
        assert number not in str(refused.headers)
    assert number not in storefront.server.log_file.read_text()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("GET", path) for path in ("/v1", "/v1/", "/v1/nothing", "/v1/payment_intents/a/b/c")),
        *(("POST", path) for path in ("/v1/charges", "/v1/balance", "/v1/events", "/v1/x")),
        *(("PUT", path) for path in (INTENTS, "/v1/customers")),
        *(("PATCH", path) for path in (INTENTS, "/v1/customers/cus_x")),
        *((method, INTENTS) for method in ("DELETE", "OPTIONS", "TRACE", "PROPFIND")),
    ],
)
def test_an_unknown_url_or_method_is_404(
    storefront: Storefront, tables: Tables, method: str, path: str
) -> None:
    before = tables.rows()
    override = ("X-HTTP-Method-Override", "POST")
    key = ("Authorization", f"Bearer {storefront.secret_key}")
    refused = storefront.wire.send(method, path, headers=[key, override])
    assert refused.status == 404
    assert refused.headers["request-id"].startswith("req_")
    assert refused.error["type"] == "invalid_request_error"
    assert f"({method}: {path})" in refused.error["message"]
    assert tables.rows() == before


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Authorization", "Bearer")],
        [("Authorization", "Bearer " + "x" * 10_000)],
        [("Authorization", "Token {key}")],
        [("Authorization", "Bearer {key}"), ("Authorization", "Bearer {key}")],
        [("Authorization", "Bearer {key}\tx")],
        [("Authorization", "Basic !!!")],
        [("X-Api-Key", "{key}")],
    ],
    ids=str,
)
def test_a_request_without_exactly_one_valid_key_is_401(
    storefront: Storefront, tables: Tables, headers: list[tuple[str, str]]
) -> None:
    before = tables.rows()
    sent = [(name, value.format(key=storefront.secret_key)) for name, value in headers]
    refused = storefront.wire.send(
        "POST",
        INTENTS,
        encoded(storefront.order(), FORM),
        [*sent, ("Content-Type", FORM), ("Idempotency-Key", new_order())],
    )
    assert refused.status == 401
    assert refused.error["type"] == "invalid_request_error"
    assert refused.headers["www-authenticate"].startswith("Bearer")
    assert storefront.secret_key.encode() not in refused.body
    assert tables.rows() == before


@pytest.mark.parametrize("name", ["api_key", "key", "anything"])
def test_a_key_in_the_address_is_refused_and_not_logged(storefront: Storefront, name: str) -> None:
    refused = storefront.wire.get(f"/v1/balance?{name}={storefront.secret_key}")
    assert refused.status == 401
    assert "revoke" in refused.error["message"]
    assert storefront.secret_key not in storefront.server.log_file.read_text()


@pytest.mark.parametrize(
    ("query", "code", "param"),
    [
        ("limit=1&limit=100000", "parameter_repeated", "limit"),
        ("limit=-1", INTEGER, "limit"),
        ("limit=0", INTEGER, "limit"),
        ("limit=101", INTEGER, "limit"),
        ("limit=99999999999999999999", INTEGER, "limit"),
        ("starting_after=pi_x&ending_before=pi_y", "parameters_exclusive", None),
        ("created[gte]=yesterday", INTEGER, "created[gte]"),
        ("created[near]=1", "parameter_unknown", "created[near]"),
        ("page=2", "parameter_unknown", "page"),
        ("expand[]=data.secrets", "parameter_invalid", "expand[0]"),
    ],
)
def test_invalid_list_parameters_are_refused(
    storefront: Storefront, query: str, code: str, param: str | None
) -> None:
    refused = storefront.wire.get(f"{INTENTS}?{query}")
    assert refused.refusal[:2] == (400, code)
    assert param is None or refused.error["param"] == param


def test_every_answer_names_its_request_id_and_the_requested_version(
    storefront: Storefront,
) -> None:
    version = ("Stripe-Version", "2024-06-20")
    good = storefront.wire.post(INTENTS, storefront.order(), key=new_order(), headers=[version])
    bad = storefront.wire.post(INTENTS, {"amount": "x"}, key=new_order(), headers=[version])
    none = storefront.wire.get("/v1/nothing")
    assert (good.status, bad.status, none.status) == (200, 400, 404)
    assert good.headers["stripe-version"] == bad.headers["stripe-version"] == "2024-06-20"
    assert none.headers["stripe-version"]
    assert len({reply.headers["request-id"] for reply in (good, bad, none)}) == 3
    malformed = storefront.wire.post(
        INTENTS, storefront.order(), key=new_order(), headers=[("Stripe-Version", "newest")]
    )
    assert malformed.refusal[:2] == (400, "api_version_invalid")


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=30),
    st.sampled_from(["usd", "pm_card_visa", "manual", "card", "", "pi_x", "latest_charge"]),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=10), inner, max_size=4)
    ),
    max_leaves=8,
)
NAMES = st.sampled_from(
    [
        *("amount", "currency", "confirm", "capture_method", "customer", "description", "expand"),
        *("metadata", "off_session", "payment_method", "payment_method_options", "shipping"),
        *("payment_method_types", "receipt_email", "return_url", "statement_descriptor", "mandate"),
        *("automatic_payment_methods", "payment_method_data", "use_stripe_sdk"),
    ]
)


@pytest.mark.matrix(most=1)
@settings(
    max_examples=examples(40, whole=120),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    parameters=st.dictionaries(st.one_of(NAMES, NAMES, st.text(max_size=20)), VALUES, max_size=6),
    valid=st.booleans(),
)
def test_no_request_body_makes_the_server_fail(
    storefront: Storefront, parameters: dict[str, Any], valid: bool
) -> None:
    fine = {"amount": 1_000, "currency": "usd", "confirm": False} if valid else {}
    body = json.dumps({**fine, **parameters}).encode()

    reply = storefront.wire.post(INTENTS, body, key=new_order(), media_type=JSON)

    assert reply.status in (200, 400, 402, 404), reply.body
    if reply.status != 200:
        assert reply.error["type"] in ("invalid_request_error", "card_error")


def nothing_written(storefront: Storefront, tables: Tables, body: bytes, media_type: str) -> Reply:
    """The refusal of a body, after which the tables and the PSP are as before."""
    before = tables.rows()
    reply = storefront.wire.post(INTENTS, body, key=new_order(), media_type=media_type)
    assert reply.error["message"]
    assert tables.rows() == before
    assert storefront.effects() == []
    return reply
