"""Parameters are read strictly, alike in form and JSON, and named exactly in refusals."""

from __future__ import annotations

from typing import Any

import pytest

from payments.api.decoding import FORM, JSON, decode_body
from payments.api.parameters import (
    Amount,
    Boolean,
    CreatedRange,
    Currency,
    Email,
    Enum,
    Expand,
    Integer,
    ListOf,
    Metadata,
    Nested,
    Parameters,
    Phone,
    PublicId,
    Text,
    Timestamp,
    Unsupported,
    Url,
)
from payments.exceptions import InvalidParameter, PaymentRefused, ResourceMissing
from payments.tests.support.endpoint_scripts import as_form, from_form, from_json, refusal

VISA = "4242424242424242"

SHOP = Parameters(
    {
        "amount": Amount(),
        "limit": Integer(minimum=1, maximum=100),
        "at": Timestamp(),
        "confirm": Boolean(unsupported={True: "Ask later."}),
        "final": Boolean(),
        "currency": Currency(),
        "method": Enum(
            "card", "cash", aliases={"bills": "cash"}, unsupported={"gold": "Too heavy."}
        ),
        "usage": Enum("once", can_unset=True),
        "customer": PublicId("cus", noun="customer"),
        "name": Text(max_length=20),
        "note": Text(max_length=20, lines=True),
        "kind": Text(max_length=5, pattern="[a-z]+", can_unset=False),
        "email": Email(),
        "phone": Phone(),
        "url": Url(),
        "metadata": Metadata(),
        "changes": Metadata(merges=True),
        "address": Nested({"city": Text(max_length=10), "zip": Text(max_length=5, required=True)}),
        "shipping": Nested({"name": Text(max_length=10)}, can_unset=True),
        "types": ListOf(Text(max_length=8, can_unset=False), max_items=3),
        "rows": ListOf(Nested({"n": Integer(maximum=9)}), max_items=3),
        "created": CreatedRange(),
        "expand": Expand("payment_intent"),
        "old": Unsupported("Use name."),
    },
    exclusive=(("email", "phone"),),
)


@pytest.mark.parametrize(
    ("values", "canonical"),
    [
        ({"amount": 1}, {"amount": 1}),
        ({"amount": 99_999_999}, {"amount": 99_999_999}),
        ({"limit": 100}, {"limit": 100}),
        ({"at": 0}, {"at": 0}),
        ({"final": True, "confirm": False}, {"final": True, "confirm": False}),
        ({"currency": "usd"}, {"currency": "USD"}),
        ({"currency": "KWD"}, {"currency": "KWD"}),
        ({"currency": "jPy"}, {"currency": "JPY"}),
        ({"method": "bills"}, {"method": "cash"}),
        ({"usage": ""}, {"usage": ""}),
        ({"customer": "cus_Ab9"}, {"customer": "cus_Ab9"}),
        ({"name": " Zoë 🎉 "}, {"name": " Zoë 🎉 "}),
        ({"name": "12"}, {"name": "12"}),
        ({"name": ""}, {"name": ""}),
        ({"note": "a\nb\tc"}, {"note": "a\nb\tc"}),
        ({"email": "o'neil+x@b.example"}, {"email": "o'neil+x@b.example"}),
        ({"phone": "+49 (30) 123-456"}, {"phone": "+49 (30) 123-456"}),
        ({"url": "https://a.example/r?x=1#y"}, {"url": "https://a.example/r?x=1#y"}),
        ({"metadata": {"order id": "1", "n": 12, "b": True}},
         {"metadata": {"order id": "1", "n": "12", "b": "true"}}),
        ({"metadata": {"k": ""}}, {}),
        ({"metadata": ""}, {}),
        ({"metadata": {}}, {}),
        ({"changes": {"k": "", "l": "x"}}, {"changes": {"k": "", "l": "x"}}),
        ({"changes": ""}, {"changes": {}}),
        ({"changes": {}}, {}),
        ({"address": {"zip": "1"}}, {"address": {"zip": "1"}}),
        ({"shipping": ""}, {"shipping": {}}),
        ({"shipping": {}}, {}),
        ({"types": ["b", "a"]}, {"types": ["b", "a"]}),
        ({"types": []}, {}),
        ({"rows": [{"n": 1}, {"n": 2}]}, {"rows": [{"n": 1}, {"n": 2}]}),
        ({"created": 5}, {"created": {"gte": 5, "lte": 5}}),
        ({"created": {"gt": 5, "lte": 9}}, {"created": {"gt": 5, "lte": 9}}),
        ({"expand": ["latest_charge.refunds", "customer", "customer"]},
         {"expand": ["customer", "latest_charge.refunds"]}),
        ({"expand": ["latest_charge.refunds.data.balance_transaction"]},
         {"expand": ["latest_charge.refunds.data.balance_transaction"]}),
    ],
)  # fmt: skip
def test_form_and_json_are_read_into_the_same(
    values: dict[str, Any], canonical: dict[str, Any]
) -> None:
    assert from_form(values, SHOP) == canonical
    assert from_json(values, SHOP) == canonical


def test_null_in_json_unsets_like_an_empty_value() -> None:
    assert from_json({"name": None, "changes": {"k": None}, "shipping": None}, SHOP) == {
        "name": "",
        "changes": {"k": ""},
        "shipping": {},
    }


def test_lists_are_read_in_every_way_a_form_writes_them() -> None:
    for body in (b"types[]=a&types[]=b", b"types[0]=a&types[1]=b", b"types[5]=b&types[2]=a"):
        assert SHOP.validate(decode_body(FORM, body)) == {"types": ["a", "b"]}


@pytest.mark.parametrize(
    "written",
    [
        "-1", "-0", "100.0", "1e2", "１００", "١٠٠", "1_000", " 100", "100 ", "100\n",
        "+100", "0x10",
        "0100", "1,000", "true", "null", "NaN", "Infinity", "९९", "10²", "0", "100\u200b", "9" * 41,
    ],
)  # fmt: skip
def test_a_form_writes_an_amount_in_plain_digits_only(written: str) -> None:
    assert refusal(as_form({"amount": written}), SHOP) == ("parameter_invalid_integer", "amount")


@pytest.mark.parametrize(
    "value",
    [
        0, -1, 100.0, 1e3, 0.1, "100", "１００", "١٠٠", "1_000", " 100", "100\n",
        True, False, [100],
        {"a": 100}, [], {}, -(2**63),
    ],
)  # fmt: skip
def test_json_writes_an_amount_as_an_integer_only(value: Any) -> None:
    assert refusal({"amount": value}, SHOP) == ("parameter_invalid_integer", "amount")


@pytest.mark.parametrize("value", [2**53 + 1, 2**63, 10**30])
def test_an_amount_that_no_payment_has_is_too_large(value: int) -> None:
    assert refusal({"amount": value}, SHOP) == ("amount_too_large", "amount")
    assert refusal(as_form({"amount": value}), SHOP) == ("amount_too_large", "amount")


def test_minus_zero_is_no_integer_in_json() -> None:
    with pytest.raises(InvalidParameter) as refused:
        SHOP.validate(decode_body(JSON, b'{"at": -0}'))
    assert (refused.value.code, refused.value.param) == ("parameter_invalid_integer", "at")


@pytest.mark.parametrize("name", ["amount", "limit", "at", "final", "currency", "method", "kind"])
def test_an_empty_value_unsets_only_what_can_be_unset(name: str) -> None:
    assert refusal(f"{name}=".encode(), SHOP) == ("parameter_invalid_empty", name)
    assert refusal({name: ""}, SHOP) == ("parameter_invalid_empty", name)
    assert refusal({name: None}, SHOP) == ("parameter_invalid_empty", name)


@pytest.mark.parametrize(
    ("values", "code", "param"),
    [
        ({"limit": 0}, "parameter_invalid_integer", "limit"),
        ({"limit": 101}, "parameter_invalid_integer", "limit"),
        ({"limit": 100000}, "parameter_invalid_integer", "limit"),
        ({"at": 10**12}, "parameter_invalid_integer", "at"),
        ({"final": "TRUE"}, "parameter_invalid", "final"),
        ({"final": "1"}, "parameter_invalid", "final"),
        ({"final": "on"}, "parameter_invalid", "final"),
        ({"confirm": True}, "parameter_unknown", "confirm"),
        ({"currency": "U\u0405D"}, "parameter_invalid", "currency"),
        ({"currency": "US"}, "parameter_invalid", "currency"),
        ({"currency": "USD "}, "parameter_invalid", "currency"),
        ({"currency": "ＵＳＤ"}, "parameter_invalid", "currency"),
        ({"currency": "u\u017fd"}, "parameter_invalid", "currency"),
        ({"currency": "XXX"}, "parameter_invalid", "currency"),
        ({"currency": "XAU"}, "parameter_invalid", "currency"),
        ({"method": "Card"}, "parameter_invalid", "method"),
        ({"method": "gold"}, "parameter_unknown", "method"),
        ({"customer": "pm_1"}, "resource_missing", "customer"),
        ({"customer": "cus 1"}, "parameter_invalid", "customer"),
        ({"customer": "cus_\u0661"}, "parameter_invalid", "customer"),
        ({"customer": "c" * 256}, "parameter_invalid", "customer"),
        ({"customer": VISA}, "card_data_not_allowed", "customer"),
        ({"customer": "4242 4242 4242 4242"}, "card_data_not_allowed", "customer"),
        ({"name": "x" * 21}, "parameter_invalid", "name"),
        ({"name": "a\x01b"}, "parameter_invalid", "name"),
        ({"name": "a\x1bb"}, "parameter_invalid", "name"),
        ({"name": "a\x9bb"}, "parameter_invalid", "name"),
        ({"note": "a\x07b"}, "parameter_invalid", "note"),
        ({"name": VISA}, "card_data_not_allowed", "name"),
        ({"kind": "Abc"}, "parameter_invalid", "kind"),
        ({"kind": "abc\n"}, "parameter_invalid", "kind"),
        ({"email": "a.example"}, "email_invalid", "email"),
        ({"email": "a@b@c"}, "email_invalid", "email"),
        ({"email": "a @b.example"}, "email_invalid", "email"),
        ({"phone": "x" * 41}, "parameter_invalid", "phone"),
        ({"phone": VISA}, "card_data_not_allowed", "phone"),
        ({"url": "javascript:alert(1)"}, "url_invalid", "url"),
        ({"url": "/relative"}, "url_invalid", "url"),
        ({"url": "https://"}, "url_invalid", "url"),
        ({"url": "https://a b.example"}, "url_invalid", "url"),
        ({"url": "https://u:p@a.example"}, "url_invalid", "url"),
        ({"url": "https://a.example\\@b"}, "url_invalid", "url"),
        ({"url": "https://a.example:99999"}, "url_invalid", "url"),
        ({"url": "https://[::1"}, "url_invalid", "url"),
        ({"url": "https://a.example/\r\nx: y"}, "url_invalid", "url"),
        ({"url": f"https://a.example/{VISA}"}, "card_data_not_allowed", "url"),
        ({"metadata": "x"}, "parameter_invalid", "metadata"),
        ({"metadata": {"k" * 41: "x"}}, "parameter_invalid", "metadata"),
        ({"metadata": {"k\n": "x"}}, "parameter_invalid", "metadata"),
        ({"metadata": {"k": "x" * 501}}, "parameter_invalid", "metadata[k]"),
        ({"metadata": {"k": {"l": "x"}}}, "parameter_invalid", "metadata[k]"),
        ({"metadata": {"k": ["x"]}}, "parameter_invalid", "metadata[k]"),
        ({"metadata": {f"k{n}": "x" for n in range(51)}}, "parameter_invalid", "metadata"),
        ({"metadata": {f"k{n}": "x" for n in range(999)}}, "parameter_invalid", "metadata"),
        ({"metadata": {"k": f"pay {VISA}"}}, "card_data_not_allowed", "metadata[k]"),
        ({"metadata": {VISA: "x"}}, "card_data_not_allowed", "metadata"),
        ({"metadata": {"cvc": "123"}}, "card_data_not_allowed", "metadata[cvc]"),
        ({"address": "x"}, "parameter_invalid", "address"),
        ({"address": {"city": "x"}}, "parameter_missing", "address[zip]"),
        ({"address": {"zip": ""}}, "parameter_invalid_empty", "address[zip]"),
        ({"address": {"zip": "1", "citi": "x"}}, "parameter_unknown", "address[citi]"),
        ({"types": "a"}, "parameter_invalid", "types"),
        ({"types": {"x": "a"}}, "parameter_invalid", "types"),
        ({"types": ["a", "b", "c", "d"]}, "parameter_invalid", "types"),
        ({"types": ["a", ""]}, "parameter_invalid_empty", "types[1]"),
        ({"rows": [{"n": 1}, {"n": 10}]}, "parameter_invalid_integer", "rows[1][n]"),
        ({"created": "yesterday"}, "parameter_invalid_integer", "created"),
        ({"created": {"after": 1}}, "parameter_unknown", "created[after]"),
        ({"created": {"gte": -1}}, "parameter_invalid_integer", "created[gte]"),
        ({"expand": ["card"]}, "parameter_invalid", "expand[0]"),
        ({"expand": ["customer", "data.customer"]}, "parameter_invalid", "expand[1]"),
        ({"expand": ["latest_charge." * 4 + "customer"]}, "parameter_invalid", "expand[0]"),
        ({"expand": ["customer."]}, "parameter_invalid", "expand[0]"),
        ({"old": "x"}, "parameter_unknown", "old"),
        ({"old": {"card": {"number": "1"}}}, "card_data_not_allowed", "old[card][number]"),
        ({"status": "succeeded"}, "parameter_unknown", "status"),
        ({"merchant_id": "1"}, "parameter_unknown", "merchant_id"),
        ({"cvv": "1"}, "card_data_not_allowed", "cvv"),
        ({"track2": "1"}, "card_data_not_allowed", "track2"),
        ({VISA: "1"}, "card_data_not_allowed", ""),
        ({"address": {VISA: "1"}}, "card_data_not_allowed", "address"),
        ({"x" * 500: "1"}, "parameter_unknown", "x" * 119 + "…"),
        ({"email": "a@b.example", "phone": "1"}, "parameters_exclusive", "phone"),
    ],
)  # fmt: skip
def test_form_and_json_are_refused_alike(values: dict[str, Any], code: str, param: str) -> None:
    assert refusal(as_form(values), SHOP) == (code, param)
    assert refusal(values, SHOP) == (code, param)


@pytest.mark.parametrize(
    ("values", "code", "param"),
    [
        ({"limit": "1"}, "parameter_invalid_integer", "limit"),
        ({"limit": True}, "parameter_invalid_integer", "limit"),
        ({"final": "true"}, "parameter_invalid", "final"),
        ({"final": 1}, "parameter_invalid", "final"),
        ({"name": 12}, "parameter_invalid", "name"),
        ({"name": 1.5}, "parameter_invalid", "name"),
        ({"name": False}, "parameter_invalid", "name"),
        ({"method": 1}, "parameter_invalid", "method"),
        ({"currency": 840}, "parameter_invalid", "currency"),
        ({"currency": ["usd"]}, "parameter_invalid", "currency"),
        ({"customer": 1}, "parameter_invalid", "customer"),
        ({"metadata": ["a"]}, "parameter_invalid", "metadata"),
        ({"metadata": {"k": 1.5}}, "parameter_invalid", "metadata[k]"),
        ({"metadata": {"[k]": "x"}}, "parameter_invalid", "metadata"),
        ({"metadata": {"": "x"}}, "parameter_invalid", "metadata"),
        ({"metadata": {"k": int(VISA)}}, "card_data_not_allowed", "metadata[k]"),
        ({"address": ["zip"]}, "parameter_invalid", "address"),
        ({"types": {"0": "a"}}, "parameter_invalid", "types"),
        ({"types": ["a", 1]}, "parameter_invalid", "types[1]"),
        ({"created": "5"}, "parameter_invalid_integer", "created"),
    ],
)
def test_json_values_are_never_coerced(values: dict[str, Any], code: str, param: str) -> None:
    assert refusal(values, SHOP) == (code, param)


def test_the_refusal_of_an_unknown_parameter_suggests_its_likely_name() -> None:
    with pytest.raises(InvalidParameter, match="Did you mean amount"):
        from_form({"amont": "1"}, SHOP)


def test_the_refusal_of_an_unsupported_parameter_names_the_alternative() -> None:
    with pytest.raises(InvalidParameter, match=r"old is not supported\. Use name\."):
        from_form({"old": "x"}, SHOP)


def test_missing_and_at_least_one() -> None:
    declared = Parameters(
        {"a": Text(max_length=3, required=True), "b": Boolean(), "c": Boolean()},
        at_least_one=(("b", "c"),),
    )
    assert refusal(b"b=true", declared) == ("parameter_missing", "a")
    assert refusal(b"a=x", declared) == ("parameter_missing", "b")
    assert from_form({"a": "x", "c": False}, declared) == {"a": "x", "c": False}


def test_a_group_of_undeclared_names_is_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="undeclared"):
        Parameters({"a": Boolean()}, exclusive=(("a", "b"),))


def test_an_id_of_another_kind_is_missing_not_invalid() -> None:
    with pytest.raises(ResourceMissing, match="No such customer"):
        from_form({"customer": "pi_1"}, SHOP)


@pytest.mark.parametrize("name", sorted(SHOP.declared))
def test_no_refusal_repeats_the_value(name: str) -> None:
    for canary in ("canary-value\x01", f"canary {VISA}"):
        with pytest.raises(PaymentRefused) as refused:
            from_form({name: canary}, SHOP)
        assert "canary" not in refused.value.message + refused.value.param
        assert VISA not in refused.value.message + refused.value.param
