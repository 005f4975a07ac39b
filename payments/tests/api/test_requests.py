"""Every parameter of the contract is accepted, or refused with a reason."""

from __future__ import annotations

import importlib
import json
import pkgutil
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from payments.api import views
from payments.api.parameters import Expand, Parameters, Unsupported
from payments.api.views.balance import LIST_BALANCE_TRANSACTIONS
from payments.api.views.charges import LIST_CHARGES
from payments.api.views.customers import CREATE_CUSTOMER, DELETE_CUSTOMER
from payments.api.views.events import LIST_EVENTS
from payments.api.views.payment_intent_parameters import (
    CANCEL_PAYMENT_INTENT,
    CAPTURE_PAYMENT_INTENT,
    CONFIRM_PAYMENT_INTENT,
    CREATE_PAYMENT_INTENT,
    INCREMENT_AUTHORIZATION,
    LIST_PAYMENT_INTENTS,
    UPDATE_PAYMENT_INTENT,
)
from payments.api.views.payment_methods import (
    ATTACH_PAYMENT_METHOD,
    CREATE_PAYMENT_METHOD,
    UPDATE_PAYMENT_METHOD,
)
from payments.api.views.refunds import CREATE_REFUND
from payments.api.views.webhook_endpoints import DELETE_WEBHOOK_ENDPOINT
from payments.exceptions import PaymentRefused
from payments.tests.support.endpoint_scripts import from_form, from_json, refusal
from paymentsite.tests.fixtures.matrix import examples

PAY = {"amount": 1099, "currency": "usd"}


def declarations() -> dict[str, Parameters]:
    """Every declaration of the package, by name."""
    found = {}
    for module in pkgutil.iter_modules(views.__path__):
        members = vars(importlib.import_module(f"{views.__name__}.{module.name}"))
        found.update({k: v for k, v in members.items() if isinstance(v, Parameters)})
    return found


@pytest.mark.parametrize("name", sorted(declarations()))
def test_every_endpoint_takes_expand(name: str) -> None:
    declared = declarations()[name].declared
    if declarations()[name] in (DELETE_CUSTOMER, DELETE_WEBHOOK_ENDPOINT):  # stubs without ids
        assert not declared
    else:
        assert isinstance(declared["expand"], Expand)
        assert declared["expand"].in_list is name.startswith(("LIST_", "SEARCH_"))


@pytest.mark.parametrize("name", sorted(declarations()))
def test_every_unsupported_parameter_says_what_to_do(name: str) -> None:
    for key, kind in declarations()[name].declared.items():
        if isinstance(kind, Unsupported):
            assert kind.instead.endswith("."), key
            assert not kind.required


def test_a_payment_as_a_shop_creates_it() -> None:
    values: dict[str, Any] = {
        **PAY,
        "confirm": True,
        "capture_method": "automatic_async",
        "confirmation_method": "manual",
        "payment_method": "pm_card_visa",
        "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
        "customer": "cus_1",
        "off_session": True,
        "return_url": "https://shop.example/back",
        "metadata": {"order_id": "6735"},
        "shipping": {"name": "Jo", "address": {"line1": "1 Main St", "country": "US"}},
        "statement_descriptor": "SHOP",
        "statement_descriptor_suffix": "ORDER 6735",
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "expand": ["latest_charge"],
    }
    given = from_form(values, CREATE_PAYMENT_INTENT)
    assert given == from_json(values, CREATE_PAYMENT_INTENT)
    assert given == {**values, "currency": "USD", "capture_method": "automatic"}


@pytest.mark.parametrize(
    ("values", "code", "param"),
    [
        ({"currency": "usd"}, "parameter_missing", "amount"),
        ({"amount": 100}, "parameter_missing", "currency"),
        ({"amount": 49, "currency": "usd"}, "amount_too_small", "amount"),
        ({"amount": 100_000_000, "currency": "usd"}, "amount_too_large", "amount"),
        ({**PAY, "status": "succeeded"}, "parameter_unknown", "status"),
        ({**PAY, "captured_amount": 1}, "parameter_unknown", "captured_amount"),
        ({**PAY, "livemode": True}, "parameter_unknown", "livemode"),
        ({**PAY, "fee": 0}, "parameter_unknown", "fee"),
        ({**PAY, "psp_id": "x"}, "parameter_unknown", "psp_id"),
        ({**PAY, "created_at": 1}, "parameter_unknown", "created_at"),
        ({**PAY, "id": "pi_1"}, "parameter_unknown", "id"),
        ({**PAY, "confirmation_method": "later"}, "parameter_invalid", "confirmation_method"),
        ({**PAY, "transfer_data": {"a": "b"}}, "parameter_unknown", "transfer_data"),
        ({**PAY, "setup_future_usage": "later"}, "parameter_invalid", "setup_future_usage"),
        (
            {**PAY, "payment_method_data": {"type": "card", "card": {"number": "1"}}},
            "card_data_not_allowed",
            "payment_method_data[card][number]",
        ),
        (
            {**PAY, "payment_method_options": {"card": {"capture_method": "manual"}}},
            "parameter_unknown",
            "payment_method_options[card][capture_method]",
        ),
        (
            {
                **PAY,
                "payment_method_types": ["card"],
                "automatic_payment_methods": {"enabled": True},
            },
            "parameters_exclusive",
            "payment_method_types",
        ),
        ({**PAY, "automatic_payment_methods": {"allow_redirects": "never"}},
         "parameter_missing", "automatic_payment_methods[enabled]"),
        ({**PAY, "off_session": True}, "parameter_invalid", "off_session"),
        ({**PAY, "error_on_requires_action": True}, "parameter_invalid",
         "error_on_requires_action"),
        ({**PAY, "shipping": {"name": "Jo"}}, "parameter_missing", "shipping[address]"),
        ({**PAY, "shipping": {"address": {"city": "X"}}}, "parameter_missing", "shipping[name]"),
        ({**PAY, "shipping": {"name": "Jo", "address": {"country": "DEU"}}},
         "parameter_invalid", "shipping[address][country]"),
        ({**PAY, "statement_descriptor": "x" * 23}, "parameter_invalid", "statement_descriptor"),
        ({**PAY, "statement_descriptor": "A<B"}, "parameter_invalid", "statement_descriptor"),
        ({**PAY, "statement_descriptor": "1234"}, "parameter_invalid", "statement_descriptor"),
        ({**PAY, "statement_descriptor": "4242424242424242"}, "card_data_not_allowed",
         "statement_descriptor"),
    ],
)  # fmt: skip
def test_invalid_parameters_of_a_payment_are_refused_by_name(
    values: dict[str, Any], code: str, param: str
) -> None:
    assert refusal(values, CREATE_PAYMENT_INTENT) == (code, param)


@pytest.mark.parametrize(
    ("declared", "form", "code", "param"),
    [
        (UPDATE_PAYMENT_INTENT, b"amount=1&currency=usd", "amount_too_small", "amount"),
        (UPDATE_PAYMENT_INTENT, b"confirm=true", "parameter_unknown", "confirm"),
        (CONFIRM_PAYMENT_INTENT, b"amount=1", "parameter_unknown", "amount"),
        (CONFIRM_PAYMENT_INTENT, b"capture_method=manual", "parameter_unknown", "capture_method"),
        (CAPTURE_PAYMENT_INTENT, b"amount=1", "parameter_unknown", "amount"),
        (
            CAPTURE_PAYMENT_INTENT,
            b"amount_to_capture=0",
            "parameter_invalid_integer",
            "amount_to_capture",
        ),
        (CAPTURE_PAYMENT_INTENT, b"final_capture=no", "parameter_invalid", "final_capture"),
        (
            CANCEL_PAYMENT_INTENT,
            b"cancellation_reason=automatic",
            "parameter_invalid",
            "cancellation_reason",
        ),
        (INCREMENT_AUTHORIZATION, b"description=x", "parameter_missing", "amount"),
        (CREATE_REFUND, b"amount=1", "parameter_missing", "payment_intent"),
        (CREATE_REFUND, b"payment_intent=pi_1&reason=angry", "parameter_invalid", "reason"),
        (CREATE_REFUND, b"payment_intent=pi_1&amount=-1", "parameter_invalid_integer", "amount"),
        (CREATE_REFUND, b"charge=pi_1", "resource_missing", "charge"),
        (
            CREATE_REFUND,
            b"charge=ch_1&instructions_email=a@b.c",
            "parameter_unknown",
            "instructions_email",
        ),
        (CREATE_CUSTOMER, b"source=tok_visa", "parameter_unknown", "source"),
        (CREATE_PAYMENT_METHOD, b"card[token]=tok_visa", "parameter_missing", "type"),
        (
            CREATE_PAYMENT_METHOD,
            b"type=card&card[number]=4242424242424242",
            "card_data_not_allowed",
            "card[number]",
        ),
        (
            CREATE_PAYMENT_METHOD,
            b"type=card&card[token]=tok_visa&card[cvc]=123",
            "card_data_not_allowed",
            "card[cvc]",
        ),
        (
            CREATE_PAYMENT_METHOD,
            b"type=card&card[token]=4242424242424242",
            "card_data_not_allowed",
            "card[token]",
        ),
        (
            CREATE_PAYMENT_METHOD,
            b"type=card&card[token]=1234567890123456",
            "parameter_invalid",
            "card[token]",
        ),
        (
            UPDATE_PAYMENT_METHOD,
            b"card[exp_month]=1",
            "parameter_unknown",
            "card[exp_month]",
        ),
        (ATTACH_PAYMENT_METHOD, b"", "parameter_missing", "customer"),
        (LIST_PAYMENT_INTENTS, b"limit=0", "parameter_invalid_integer", "limit"),
        (LIST_PAYMENT_INTENTS, b"limit=-1", "parameter_invalid_integer", "limit"),
        (
            LIST_PAYMENT_INTENTS,
            b"starting_after=pi_1&ending_before=pi_2",
            "parameters_exclusive",
            "ending_before",
        ),
        (LIST_PAYMENT_INTENTS, b"starting_after=ch_1", "resource_missing", "starting_after"),
        (LIST_PAYMENT_INTENTS, b"expand[]=customer", "parameter_invalid", "expand[0]"),
        (LIST_CHARGES, b"transfer_group=x", "parameter_unknown", "transfer_group"),
        (LIST_EVENTS, b"type=*.x", "parameter_invalid", "type"),
        (
            LIST_EVENTS,
            b"type=charge.*&types[]=charge.failed",
            "parameters_exclusive",
            "types",
        ),
        (
            LIST_EVENTS,
            b"&".join(b"types[]=charge.failed" for _ in range(21)),
            "parameter_invalid",
            "types",
        ),
        (LIST_BALANCE_TRANSACTIONS, b"payout=po_1", "parameter_unknown", "payout"),
    ],
)
def test_invalid_parameters_of_other_endpoints_are_refused_by_name(
    declared: Parameters, form: bytes, code: str, param: str
) -> None:
    assert refusal(form, declared) == (code, param)


@pytest.mark.parametrize("kind", ["*", "charge.*", "payment_intent.succeeded", "charge.dispute.*"])
def test_events_are_listed_by_type_or_the_start_of_one(kind: str) -> None:
    assert from_form({"type": kind}, LIST_EVENTS) == {"type": kind}


def test_a_refund_may_name_charge_and_payment() -> None:
    values = {"payment_intent": "pi_1", "charge": "ch_1", "amount": 5, "reason": "duplicate"}
    assert from_form(values, CREATE_REFUND) == values


def test_a_payment_method_is_made_from_a_token_of_any_provider() -> None:
    for token in ("tok_visa", "pm_card_visa", "8415-A.b_9", "mdt_h3gAaD5zP"):
        values = {"type": "card", "card": {"token": token}}
        assert from_form(values, CREATE_PAYMENT_METHOD) == values


_TEXT = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp", "Nd", "No", "Nl")), max_size=20
)
_KEY = st.text(st.characters(categories=("L", "Nd"), max_codepoint=0x24F), min_size=1, max_size=12)
_ADDRESS = st.fixed_dictionaries({}, optional={"city": _TEXT, "line1": _TEXT})
_SHIPPING = st.fixed_dictionaries(
    {"name": _TEXT.filter(bool), "address": _ADDRESS.filter(bool)},
    optional={"phone": st.sampled_from(["+49 30 1234", ""])},
)
_CREATE = st.fixed_dictionaries(
    {
        "amount": st.integers(2_000, 9_999_999).map(lambda tens: tens * 10),
        "currency": st.sampled_from(["usd", "EUR", "jPy", "kwd", "GBP"]),
    },
    optional={
        "confirm": st.booleans(),
        "capture_method": st.sampled_from(["automatic", "automatic_async", "manual"]),
        "description": _TEXT,
        "metadata": st.dictionaries(
            _KEY.filter(lambda key: not key.lower().startswith(("cv", "card", "track"))),
            _TEXT | st.integers(-(10**9), 10**9) | st.booleans(),
            max_size=5,
        ),
        "payment_method": st.sampled_from(["pm_card_visa", "pm_C7JqAB"]),
        "payment_method_types": st.lists(st.sampled_from(["card", "sepa_debit"]), max_size=3),
        "expand": st.lists(
            st.sampled_from(["customer", "latest_charge", "latest_charge.refunds"]), max_size=4
        ),
        "shipping": _SHIPPING,
        "receipt_email": st.sampled_from(["a@b.example", ""]),
    },
)


@settings(deadline=None)
@given(_CREATE)
def test_a_form_of_the_sdk_and_its_json_are_the_same_request(values: dict[str, Any]) -> None:
    form = from_form(values, CREATE_PAYMENT_INTENT)
    assert form == from_json(values, CREATE_PAYMENT_INTENT)
    assert form["currency"] == values["currency"].upper()


_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=9,
)


@pytest.mark.matrix(most=1)
@settings(deadline=None, max_examples=examples(100, whole=300))
@given(st.sampled_from(sorted(CREATE_PAYMENT_INTENT.declared)), _ANYTHING)
def test_no_value_raises_anything_but_a_refusal(name: str, value: Any) -> None:
    values = {"amount": 100, "currency": "usd", name: value}
    for read in (from_json, from_form):
        try:
            json.dumps(read(values, CREATE_PAYMENT_INTENT))
        except PaymentRefused:
            continue
        except UnicodeEncodeError:  # the SDK's encoder itself cannot write half a surrogate pair
            assert read is from_form
