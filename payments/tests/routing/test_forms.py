"""The form of a routing rule: one in Python and PostgreSQL, and every mistake is named."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from payments.models import RoutingRule
from payments.services.routing import forms
from payments.tests.support.factories import PspAccountFactory

pytestmark = pytest.mark.usefixtures("database")

CONDITIONS: list[tuple[Any, bool]] = [
    ({}, True),
    ({"amount": {"currency": "EUR", "min_minor": 5, "max_minor": 5}}, True),
    ({"amount": {"currency": "EUR", "max_minor": 10**18 - 1}}, True),
    ({"amount": {"currency": "EUR", "max_minor": 10**18}}, False),
    ({"amount": {"currency": "EUR"}}, False),
    ({"amount": {"min_minor": 5}}, False),
    ({"amount": {"currency": "eur", "min_minor": 5}}, False),
    ({"amount": {"currency": "EUR", "min_minor": 6, "max_minor": 5}}, False),
    ({"amount": {"currency": "EUR", "min_minor": "6"}}, False),
    ({"amount": {"currency": "EUR", "min_minor": None}}, False),
    ({"amount": {"currency": None, "min_minor": 1}}, False),
    ({"amount": {"currency": "EUR", "min_minor": 1, "step": 2}}, False),
    ({"amount": []}, False),
    ({"currencies": ["EUR", "USD"]}, True),
    ({"currencies": []}, False),
    ({"currencies": "EUR"}, False),
    ({"currencies": ["eur"]}, False),
    ({"currencies": ["EUR\n"]}, False),
    ({"currencies": [5]}, False),
    ({"methods": ["card"], "brands": ["visa"], "countries": ["DE"]}, True),
    ({"methods": ["Card"]}, False),
    ({"brands": [None]}, False),
    ({"countries": ["D"]}, False),
    ({"metadata": {"shop": "berlin", "tier": "1"}}, True),
    ({"metadata": {}}, False),
    ({"metadata": {"": "berlin"}}, False),
    ({"metadata": {"k" * 41: "berlin"}}, False),
    ({"metadata": {"shop": ""}}, False),
    ({"metadata": {"shop": "v" * 501}}, False),
    ({"metadata": {"shop": 5}}, False),
    ({"metadata": ["shop"]}, False),
    ({"weekday": ["monday"]}, False),
    ([], False),
    (None, False),
]
TARGETS: list[tuple[Any, bool]] = [
    ({"split": [{"account": "a", "share": 100}]}, True),
    ({"split": [{"account": "a", "share": 99}, {"account": "b", "share": 1}]}, True),
    ({"split": [{"account": "a", "share": 100}], "fallback": ["a", "b-1"]}, True),
    ({"split": [{"account": "a", "share": 100}], "fallback": []}, True),
    ({"split": [{"account": "a", "share": 99}]}, False),
    ({"split": [{"account": "a", "share": 50}, {"account": "a", "share": 50}]}, False),
    ({"split": [{"account": "a", "share": 101}, {"account": "b", "share": -1}]}, False),
    ({"split": [{"account": "a", "share": 100}, {"account": "b", "share": 0}]}, False),
    ({"split": [{"account": "a", "share": 100.0}]}, False),
    ({"split": [{"account": "a", "share": "100"}]}, False),
    ({"split": [{"account": "a", "share": True}]}, False),
    ({"split": [{"account": "a", "share": None}]}, False),
    ({"split": [{"account": "a b", "share": 100}]}, False),
    ({"split": [{"account": 5, "share": 100}]}, False),
    ({"split": [{"account": "a", "share": 100, "weight": 1}]}, False),
    ({"split": [{"account": "a"}]}, False),
    ({"split": [["a", 100]]}, False),
    ({"split": [{"account": f"a{n}", "share": 10} for n in range(10)]}, True),
    ({"split": [{"account": f"a{n}", "share": 9 + (n == 0)} for n in range(11)]}, False),
    ({"split": []}, False),
    ({"split": {"account": "a", "share": 100}}, False),
    ({"split": None}, False),
    ({"fallback": ["a"]}, False),
    ({"split": [{"account": "a", "share": 100}], "fallback": ["b", "b"]}, False),
    ({"split": [{"account": "a", "share": 100}], "fallback": [f"a{n}" for n in range(11)]}, False),
    ({"split": [{"account": "a", "share": 100}], "fallback": "b"}, False),
    ({"split": [{"account": "a", "share": 100}], "fallback": [None]}, False),
    ({"split": [{"account": "a", "share": 100}], "fallback": None}, False),
    ({"split": [{"account": "a", "share": 100}], "then": ["b"]}, False),
    ({}, False),
    ([], False),
    (None, False),
]


@pytest.mark.parametrize(
    ("check", "function", "cases"),
    [
        (forms.require_conditions, "payments_are_routing_conditions", CONDITIONS),
        (forms.require_targets, "payments_are_routing_targets", TARGETS),
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


def test_postgresql_refuses_an_account_that_does_not_exist_in_the_mode_of_the_rule() -> None:
    known = PspAccountFactory.create().code
    rule = {"position": 1, "name": "all", "livemode": False}
    split = [{"account": known, "share": 100}]
    RoutingRule.objects.create(**rule, targets={"split": split, "fallback": [known]})
    for change in (
        {"targets": {"split": [{"account": "nowhere", "share": 100}]}},
        {"targets": {"split": split, "fallback": [known, "nowhere"]}},
    ):
        with pytest.raises(IntegrityError, match="nowhere"), transaction.atomic():
            RoutingRule.objects.update(**change)
    live = rule | {"position": 2, "livemode": True}
    with pytest.raises(IntegrityError, match=known), transaction.atomic():
        RoutingRule.objects.create(**live, targets={"split": split})
    assert RoutingRule.objects.count() == 1
