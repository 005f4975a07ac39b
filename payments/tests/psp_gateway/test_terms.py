"""The terms of an account: one form in Python and PostgreSQL, and every charge is held to them."""

from __future__ import annotations

import json
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from django.db import DataError, IntegrityError, connection, transaction

from payments.models import Operation, PaymentIntent, PspAccount
from payments.services.psp_gateway import accounts, terms
from payments.tests.support.api_client import api_of
from payments.tests.support.factories import PspAccountFactory
from payments.tests.support.shop import Shop
from psp_adapters.contract.settlement_calendar import SettlementCalendar, calendar_with

pytestmark = pytest.mark.usefixtures("database")

INTENTS = "/v1/payment_intents"
LIMITS: list[tuple[Any, bool]] = [
    ({}, True),
    ({"EUR": {}}, True),
    ({"EUR": {"min_minor": 50, "max_minor": 50}, "JPY": {"max_minor": 0}}, True),
    ({"EUR": {"min_minor": 10**18 - 1}}, True),
    ({"EUR": {"min_minor": 10**18}}, False),
    ({"EUR": {"min_minor": 51, "max_minor": 50}}, False),
    ({"eur": {}}, False),
    ({"EURO": {}}, False),
    ({"EUR": {"minimum": 5}}, False),
    ({"EUR": {"min_minor": -1}}, False),
    ({"EUR": {"min_minor": "50"}}, False),
    ({"EUR": {"min_minor": 0.5}}, False),
    ({"EUR": {"min_minor": None}}, False),
    ({"EUR": {"max_minor": True}}, False),
    ({"EUR": [50]}, False),
    ([], False),
    (None, False),
]
CALENDARS: list[tuple[Any, bool]] = [
    ({}, True),
    ({"country": "DE", "time_zone": "Europe/Berlin", "cutoff": "17:00", "business_days": 2}, True),
    ({"country": "XECB", "cutoff": "24:00", "business_days": 0, "watched": False}, True),
    ({"country": "", "business_days": 60}, True),
    ({"country": "de"}, False),
    ({"country": 49}, False),
    ({"time_zone": ""}, False),
    ({"time_zone": None}, False),
    ({"cutoff": "24:01"}, False),
    ({"cutoff": "7:00"}, False),
    ({"cutoff": "17:00\n"}, False),
    ({"business_days": -1}, False),
    ({"business_days": 61}, False),
    ({"business_days": 1.5}, False),
    ({"business_days": True}, False),
    ({"watched": 1}, False),
    ({"weekend": []}, False),
    ([], False),
    (None, False),
]
COSTS: list[tuple[Any, bool]] = [
    ([], True),
    ([{}], True),
    ([{"basis_points": 140}], True),
    ([{"currency": "EUR", "method": "card", "fixed_minor": 25, "basis_points": 10_000}], True),
    ([{"currency": "EUR"}, {"method": "card"}, {"currency": "EUR", "method": "card"}, {}], True),
    ([{"fixed_minor": 0}], True),
    ([{"brand": "visa"}, {"brand": "amex"}, {"method": "card", "brand": "visa"}], True),
    ([{"component": "markup"}, {"component": "interchange"}, {"component": "scheme_fee"}], True),
    ([{"component": "markup", "basis_points": 5}, {"basis_points": 140}], True),
    ([{"component": "markup"}, {"component": "markup", "basis_points": 5}], False),
    ([{"component": "commission"}], False),
    ([{"component": ""}], False),
    ([{"brand": "Visa"}], False),
    ([{"brand": 4}], False),
    ([{"fixed_minor": 25}], False),
    ([{"basis_points": 10_001}], False),
    ([{"basis_points": -1}], False),
    ([{"basis_points": 1.5}], False),
    ([{"basis_points": None}], False),
    ([{"currency": "eur"}], False),
    ([{"currency": 978}], False),
    ([{"method": "Card"}], False),
    ([{"method": None}], False),
    ([{"share": 1}], False),
    ([{"currency": "EUR"}, {"currency": "EUR", "basis_points": 5}], False),
    ([5], False),
    ({}, False),
    (None, False),
]


@pytest.mark.parametrize(
    ("check", "function", "cases"),
    [
        (terms.require_limits, "payments_are_limits", LIMITS),
        (terms.require_costs, "payments_are_costs", COSTS),
        (
            partial(calendar_with, SettlementCalendar()),
            "payments_is_settlement_calendar",
            CALENDARS,
        ),
    ],
)
def test_python_and_postgresql_take_the_same_forms(check: Any, function: str, cases: Any) -> None:
    for value, is_taken in cases:
        by_python = False
        with suppress(ValueError):
            check(value)
            by_python = True
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {function}(%s::jsonb)", [json.dumps(value)])
            [by_postgresql] = cursor.fetchone()
        assert (by_python, by_postgresql) == (is_taken, is_taken), value


@pytest.mark.parametrize(
    ("column", "taken", "refused"),
    [
        ("methods", [[], ["card"], ["card", "sepa_debit"]], [["Card"], ["card", ""], [None]]),
        ("currencies", [[], ["EUR"], ["EUR", "USD"]], [["eur"], ["EU"], ["EUR", ""], [""]]),
        ("countries", [[], ["DE"], ["DE", "AT"]], [["de"], ["D"], ["DE", None]]),
    ],
)
def test_postgresql_refuses_names_that_are_none(column: str, taken: Any, refused: Any) -> None:
    account = PspAccountFactory.create()
    rows = PspAccount.objects.filter(pk=account.pk)
    for value in taken:
        assert rows.update(**{column: value}) == 1
    for value in refused:
        with pytest.raises((IntegrityError, DataError)), transaction.atomic():
            rows.update(**{column: value})
    assert getattr(rows.get(), column) == taken[-1]


@pytest.mark.parametrize(
    ("terms", "code", "param"),
    [
        ({"currencies": ["EUR", "GBP"]}, "payment_provider_unsuitable", "currency"),
        ({"limits": {"USD": {"min_minor": 10_001}}}, "amount_too_small", "amount"),
        ({"limits": {"USD": {"max_minor": 9_999}}}, "amount_too_large", "amount"),
        ({"countries": ["DE", "AT"]}, "payment_provider_unsuitable", "payment_method"),
        ({"methods": ["ideal"]}, "payment_intent_incompatible_payment_method", "payment_method"),
    ],
)
def test_a_charge_outside_the_terms_is_refused_before_anything_is_written_or_sent(
    shop: Shop, terms: dict[str, Any], code: str, param: str
) -> None:
    PspAccount.objects.filter(pk=shop.account.pk).update(**terms)
    accounts.forget_accounts()
    pay = {"amount": 10_000, "currency": "usd", "payment_method": "pm_card_visa"}
    reply = api_of(shop).post(INTENTS, confirm=True, metadata={"order_id": shop.order_id}, **pay)
    assert (reply.status, reply.error["code"], reply.error["param"]) == (400, code, param)
    assert not PaymentIntent.objects.exists()
    assert not Operation.objects.exists()
    assert shop.effects() == []


def test_terms_that_were_narrowed_after_the_payment_was_created_hold_when_it_is_confirmed(
    shop: Shop,
) -> None:
    api = api_of(shop)
    pay = {"amount": 10_000, "currency": "usd", "payment_method": "pm_card_visa"}
    created = api.post(INTENTS, **pay).body
    for narrowed in ({"methods": ["ideal"]}, {"methods": [], "currencies": ["EUR"]}):
        PspAccount.objects.filter(pk=shop.account.pk).update(**narrowed)
        accounts.forget_accounts()
        reply = api.post(f"{INTENTS}/{created['id']}/confirm")
        assert reply.error["code"] == "payment_provider_unsuitable"
    assert not Operation.objects.exists()
    PspAccount.objects.filter(pk=shop.account.pk).update(currencies=[])
    accounts.forget_accounts()
    assert api.post(f"{INTENTS}/{created['id']}/confirm").body["status"] == "succeeded"


def test_a_payment_takes_the_types_of_methods_that_its_account_charges(shop: Shop) -> None:
    PspAccount.objects.filter(pk=shop.account.pk).update(methods=["ideal", "card"])
    accounts.forget_accounts()
    created = api_of(shop).post(INTENTS, amount=500, currency="eur").body
    assert created["payment_method_types"] == ["card", "ideal"]
