"""Bodies and queries become dictionaries, or are refused by name; never anything else."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from payments.api.decoding import (
    FORM,
    JSON,
    MAX_BODY_BYTES,
    MAX_PARAMETERS,
    FormValues,
    decode_body,
    decode_query,
)
from payments.exceptions import InvalidParameter, PaymentRefused


def test_a_form_as_the_sdk_writes_it_becomes_nested() -> None:
    body = b"amount=1099&metadata[order+id]=a%26b&shipping[address][city]=K%C3%B6ln&expand[0]=a"
    assert decode_body(FORM, body) == {
        "amount": "1099",
        "metadata": {"order id": "a&b"},
        "shipping": {"address": {"city": "Köln"}},
        "expand": {"0": "a"},
    }


def test_encoded_brackets_are_brackets() -> None:
    assert decode_body(FORM, b"metadata%5Bk%5D=v") == {"metadata": {"k": "v"}}


def test_bracketed_blanks_make_a_list_in_order() -> None:
    body = b"expand[]=b&expand[]=a&m[x][]=1"
    assert decode_body(FORM, body) == {"expand": ["b", "a"], "m": {"x": ["1"]}}


def test_a_blank_value_stays_an_empty_text() -> None:
    assert decode_body(FORM, b"metadata=&description=&&") == {"metadata": "", "description": ""}


@pytest.mark.parametrize("content_type", ["", FORM, JSON, "text/plain"])
def test_an_empty_body_has_no_parameters(content_type: str) -> None:
    assert decode_body(content_type, b"") == {}


def test_form_values_are_known_as_text_and_json_is_not() -> None:
    assert isinstance(decode_body(FORM, b"a=1"), FormValues)
    assert isinstance(decode_query("a=1"), FormValues)
    assert not isinstance(decode_body(JSON, b'{"a": "1"}'), FormValues)


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json; charset=utf-8",
        "Application/JSON",
        'application/json;charset="UTF-8"',
    ],
)
def test_json_is_known_in_every_spelling(content_type: str) -> None:
    assert decode_body(content_type, b'{"amount": 100}') == {"amount": 100}


def test_floats_survive_so_that_the_validator_can_name_the_parameter() -> None:
    decoded = decode_body(JSON, b'{"amount": 100.0, "b": 1e2, "c": -0}')
    assert [type(value) for value in decoded.values()] == [float, float, float]


def test_a_query_is_read_like_a_form() -> None:
    assert decode_query("limit=3&created[gte]=5&expand[]=data.customer") == {
        "limit": "3",
        "created": {"gte": "5"},
        "expand": ["data.customer"],
    }
    assert decode_query("") == {}


def test_raw_utf8_bytes_of_a_query_are_read_as_the_server_hands_them_over() -> None:
    assert decode_query("email=ü".encode().decode("latin-1")) == {"email": "ü"}


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (b"amount=1&amount=2", "parameter_repeated", "amount"),
        (b"m[k]=1&m[k]=2", "parameter_repeated", "m[k]"),
        (b"m[k]=1&m%5Bk%5D=1", "parameter_repeated", "m[k]"),
        (b"a=1&a[b]=2", "parameter_conflicting", "a[b]"),
        (b"a[b]=2&a=1", "parameter_repeated", "a"),
        (b"a[]=1&a[0]=2", "parameter_conflicting", "a[0]"),
        (b"a[0]=1&a[]=2", "parameter_conflicting", "a[]"),
        (b"a[b]=1&a[b][c]=2", "parameter_conflicting", "a[b][c]"),
        (b"amount", "parameters_malformed", "amount"),
        (b"=1", "parameters_malformed", ""),
        (b"[a]=1", "parameters_malformed", "[a]"),
        (b"a[=1", "parameters_malformed", "a["),
        (b"a]=1", "parameters_malformed", "a]"),
        (b"a[b=1", "parameters_malformed", "a[b"),
        (b"a[b]c=1", "parameters_malformed", "a[b]c"),
        (b"a[[b]]=1", "parameters_malformed", "a[[b]]"),
        (b"a[][b]=1", "parameters_malformed", "a[][b]"),
        (b"a=%zz", "parameters_malformed", ""),
        (b"a=%4", "parameters_malformed", ""),
        (b"a=%", "parameters_malformed", ""),
        (b"a=%ff", "parameters_malformed", ""),
        (b"a=\xff", "parameters_malformed", ""),
        (b"a=%ED%A0%80", "parameters_malformed", ""),
        (b"a=%00", "parameters_malformed", ""),
        (b"a=\x00", "parameters_malformed", ""),
        (b"a" + b"[x]" * 8 + b"=1", "parameters_too_deep", "a" + "[x]" * 8),
    ],
)
def test_a_malformed_form_or_query_is_refused_by_name(body: bytes, code: str, param: str) -> None:
    for decode in (lambda: decode_body(FORM, body), lambda: decode_query(body.decode("latin-1"))):
        with pytest.raises(InvalidParameter) as refused:
            decode()
        assert (refused.value.code, refused.value.param) == (code, param)


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (b'{"amount":100,"amount":1}', "parameter_repeated", "amount"),
        (b'{"m":{"k":"a","k":"a"}}', "parameter_repeated", "k"),
        (b'{"amount":NaN}', "body_malformed", ""),
        (b'{"amount":Infinity}', "body_malformed", ""),
        (b'{"amount":-Infinity}', "body_malformed", ""),
        (b'{"amount":1e400}', "body_malformed", ""),
        (b'{"amount":-1e400}', "body_malformed", ""),
        (b'{"amount":' + b"9" * 5000 + b"}", "parameter_invalid_integer", ""),
        (b'\xef\xbb\xbf{"amount":1}', "body_malformed", ""),
        ('{"amount":1}'.encode("utf-16"), "parameters_malformed", ""),
        ('{"amount":1}'.encode("utf-16-le"), "body_malformed", ""),
        (b'{"a":"\\ud800"}', "body_malformed", ""),
        (b'{"\\udfff":"a"}', "body_malformed", ""),
        (b'{"m":{"a":["\\ud800"]}}', "body_malformed", ""),
        (b'{"a":"\\u0000"}', "body_malformed", ""),
        (b'{"a":"\x00"}', "body_malformed", ""),
        (b'{"a":"\xed\xa0\x80"}', "parameters_malformed", ""),
        (b"[1]", "body_malformed", ""),
        (b'"a"', "body_malformed", ""),
        (b"null", "body_malformed", ""),
        (b"{", "body_malformed", ""),
        (b'{"a":1}{}', "body_malformed", ""),
        (b"{'a':1}", "body_malformed", ""),
        (b"[" * 100_000, "parameters_too_deep", ""),
        (b'{"a":' * 100_000, "parameters_too_deep", ""),
        (b'{"a":' * 9 + b"1" + b"}" * 9, "parameters_too_deep", ""),
        (b'{"a":' + b"[" * 8 + b"]" * 8 + b"}", "parameters_too_deep", ""),
    ],
)
def test_a_malformed_json_body_is_refused_by_name(body: bytes, code: str, param: str) -> None:
    with pytest.raises(InvalidParameter) as refused:
        decode_body(JSON, body)
    assert (refused.value.code, refused.value.param) == (code, param)


def test_the_deepest_nesting_that_is_allowed() -> None:
    assert decode_body(FORM, b"a" + b"[x]" * 7 + b"=1")
    assert decode_body(JSON, b'{"a":' * 8 + b"1" + b"}" * 8)


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "multipart/form-data", "application/xml"]
)
def test_another_media_type_is_refused_with_those_accepted(content_type: str) -> None:
    with pytest.raises(InvalidParameter, match=f"{FORM} or {JSON}") as refused:
        decode_body(content_type, b"a=1")
    assert refused.value.code == "content_type_unsupported"


def test_another_charset_is_refused() -> None:
    with pytest.raises(InvalidParameter, match="charset"):
        decode_body(f"{JSON}; charset=utf-16", b"{}")


def test_a_body_of_one_byte_too_much_is_refused() -> None:
    assert decode_body(FORM, b"a=" + b"x" * (MAX_BODY_BYTES - 2))
    with pytest.raises(InvalidParameter) as refused:
        decode_body(FORM, b"a=" + b"x" * (MAX_BODY_BYTES - 1))
    assert refused.value.code == "body_too_large"


def test_one_parameter_too_many_is_refused_in_both_encodings() -> None:
    allowed = {f"k{number}": "v" for number in range(MAX_PARAMETERS)}
    assert decode_body(FORM, urlencode(allowed).encode()) == allowed
    assert decode_body(JSON, json.dumps(allowed).encode()) == allowed
    too_many = {**allowed, "one": "more"}
    listed = {"list": ["v"] * MAX_PARAMETERS}
    for content_type, body in (
        (FORM, urlencode(too_many)),
        (JSON, json.dumps(too_many)),
        (JSON, json.dumps(listed)),
    ):
        with pytest.raises(InvalidParameter) as refused:
            decode_body(content_type, body.encode())
        assert refused.value.code == "parameters_too_many"


def test_no_refusal_repeats_a_card_number() -> None:
    with pytest.raises(InvalidParameter) as refused:
        decode_body(FORM, b"4242424242424242=1&4242424242424242=2")
    assert refused.value.param == ""
    with pytest.raises(InvalidParameter) as refused:
        decode_body(FORM, b"metadata[4242+4242+4242+4242]=1&metadata[4242+4242+4242+4242]=2")
    assert refused.value.param == "metadata"


def refused_by(decode: Callable[[], object]) -> PaymentRefused | None:
    """The refusal, or None for a dictionary; everything else escapes."""
    try:
        assert isinstance(decode(), dict)
    except PaymentRefused as refused:
        return refused
    return None


@given(st.binary(max_size=200), st.sampled_from([FORM, JSON]))
@example(b"a[]=1&a=2", FORM)
def test_no_bytes_raise_anything_but_a_refusal(body: bytes, content_type: str) -> None:
    refused = refused_by(lambda: decode_body(content_type, body))
    assert refused is None or (refused.code and refused.message)


@given(st.text(alphabet="a[]=&%0 +\u00e9", max_size=30))
def test_no_query_raises_anything_but_a_refusal(query: str) -> None:
    refused = refused_by(lambda: decode_query(query))
    assert refused is None or refused.code


_JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=20,
)


@given(_JSON_VALUES)
def test_no_json_raises_anything_but_a_refusal(value: object) -> None:
    refused = refused_by(lambda: decode_body(JSON, json.dumps(value).encode()))
    assert refused is None or refused.code
