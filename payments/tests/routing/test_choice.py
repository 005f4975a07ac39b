"""Which accounts a charge may go to: rules in order, shares, fallbacks, and who is left out."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.money import Money
from payments.models import PspAccount
from payments.models import RoutingReason as Reason
from payments.services.routing.choice import Route, Unsuitable, route_by
from payments.services.routing.rules import RoutingSubject, Rule, Share
from payments.states import PspAccountStatus

MERCHANT = uuid.uuid4()
OWN = PspAccount(code="own", psp="sandbox", status=PspAccountStatus.ACTIVE)
FIRST = PspAccount(code="first", psp="sandbox", status=PspAccountStatus.ACTIVE)
SECOND = PspAccount(code="second", psp="sandbox", status=PspAccountStatus.ACTIVE)
VISA = {"method_type": "card", "brand": "visa", "country": "US"}
PERCENTAGE_POINTS = 6
"""How far parts of two thousand payments may be from their shares: five standard deviations."""


def subject_of(**given: Any) -> RoutingSubject:
    return RoutingSubject(
        **{
            "merchant_id": MERCHANT,
            "livemode": False,
            "intent_id": uuid.uuid4(),
            "amount": Money(10_000, "EUR"),
            "metadata": {"shop": "berlin"},
            "own_account_id": OWN.id,
        }
        | given
    )


def rule_of(*split: tuple[PspAccount, int], position: int = 1, **given: Any) -> Rule:
    shares = tuple(Share(account_id=account.id, percent=percent) for account, percent in split)
    return Rule(
        **{
            "id": uuid.uuid4(),
            "position": position,
            "name": f"rule {position}",
            "merchant_id": None,
            "conditions": {},
            "split": shares,
            "fallback": (),
        }
        | given
    )


def route_of(
    *rules: Rule,
    subject: RoutingSubject | None = None,
    accounts: tuple[PspAccount, ...] = (),
    unwell: tuple[PspAccount, ...] = (),
) -> Route:
    known = {each.id: each for each in (OWN, FIRST, SECOND, *accounts)}
    return route_by(
        rules,
        subject or subject_of(),
        account_of=known.__getitem__,
        unwell=lambda account: account in unwell,
    )


def codes(route: Route) -> list[str]:
    return [each.account.code for each in route.candidates]


def left_out(route: Route) -> dict[str, Unsuitable]:
    found = [each for each in route.considered if each.left_out is not None]
    return {each.account.code: each.left_out for each in found if each.left_out}


def changed(account: PspAccount, **terms: Any) -> PspAccount:
    values = {f.attname: getattr(account, f.attname) for f in PspAccount._meta.concrete_fields}
    return PspAccount(**values | terms)


def test_without_a_rule_that_matches_the_merchants_own_account_takes_the_charge() -> None:
    for rules in ((), (rule_of((FIRST, 100), conditions={"currencies": ["USD"]}),)):
        route = route_of(*rules)
        assert (codes(route), route.rule) == (["own"], None)
        assert route.first.reason is Reason.DEFAULT_ACCOUNT


def test_the_first_rule_that_matches_decides_alone() -> None:
    euros = rule_of((FIRST, 100), conditions={"currencies": ["EUR"]})
    route = route_of(euros, rule_of((SECOND, 100), position=2))
    assert (codes(route), route.rule, route.first.reason) == (["first"], euros, Reason.RULE)


@pytest.mark.parametrize(
    ("conditions", "is_met"),
    [
        ({"amount": {"currency": "EUR", "min_minor": 10_000, "max_minor": 10_000}}, True),
        ({"amount": {"currency": "EUR", "max_minor": 9_999}}, False),
        ({"amount": {"currency": "EUR", "min_minor": 10_001}}, False),
        ({"amount": {"currency": "USD", "min_minor": 1}}, False),
        ({"metadata": {"shop": "berlin"}}, True),
        ({"metadata": {"shop": "berlin", "tier": "1"}}, False),
        ({"methods": ["ideal", "card"], "brands": ["visa"], "countries": ["US"]}, True),
        ({"methods": ["ideal"]}, False),
        ({"methods": ["card"], "brands": ["amex"]}, False),
        ({"methods": ["card"], "countries": ["DE"]}, False),
    ],
)
def test_a_rule_matches_if_all_of_its_conditions_are_met(conditions: Any, is_met: bool) -> None:
    rule = rule_of((FIRST, 100), conditions=conditions)
    assert rule.matches(subject_of(**VISA)) is is_met
    assert codes(route_of(rule, subject=subject_of(**VISA))) == ["first" if is_met else "own"]


def test_a_rule_about_facts_that_are_not_known_yet_does_not_decide() -> None:
    card = rule_of((FIRST, 100), conditions={"brands": ["visa"], "currencies": ["EUR"]})
    assert card.matches(subject_of()) is None
    assert codes(route_of(card)) == ["own"]
    assert card.matches(subject_of(amount=Money(1, "USD"))) is False
    assert codes(route_of(card, subject=subject_of(method_type="ideal", brand=""))) == ["own"]


def test_the_other_accounts_of_a_split_follow_the_fallback() -> None:
    rule = rule_of((FIRST, 30), (SECOND, 70), fallback=(OWN.id,))
    route = route_of(rule)
    chosen, *others = codes(route)
    assert {chosen, *others} == {"first", "second", "own"}
    assert others[0] == "own"
    assert route.considered[0].percent in (30, 70)


def test_accounts_are_tried_in_order_each_once() -> None:
    route = route_of(rule_of((FIRST, 100), fallback=(FIRST.id, SECOND.id, OWN.id)))
    assert codes(route) == ["first", "second", "own"]
    assert [each.reason for each in route.candidates] == [Reason.RULE, *[Reason.FALLBACK] * 2]


@pytest.mark.parametrize(
    ("terms", "given", "reason"),
    [
        ({"status": PspAccountStatus.PAUSED}, {}, Unsuitable.PAUSED),
        ({"status": PspAccountStatus.CLOSING}, {}, Unsuitable.CLOSING),
        ({"currencies": ["USD"]}, {}, Unsuitable.CURRENCY),
        ({"limits": {"EUR": {"max_minor": 9_999}}}, {}, Unsuitable.AMOUNT),
        ({"methods": ["ideal"]}, VISA, Unsuitable.METHOD),
        ({"countries": ["DE"]}, VISA, Unsuitable.COUNTRY),
        ({}, {"method_type": "klarna"}, Unsuitable.METHOD),
        ({"methods": ["ideal"]}, {"is_held": True}, Unsuitable.CAPABILITY),
        ({}, {"method_type": "ideal", "is_held": True}, Unsuitable.CAPABILITY),
        ({}, {"method_type": "ideal", "keeps_method": True}, Unsuitable.CAPABILITY),
        ({"psp": "mollie"}, {"asks_three_d_secure": True}, Unsuitable.CAPABILITY),
    ],
)
def test_an_account_that_cannot_take_the_charge_is_left_out_with_the_reason(
    terms: dict[str, Any], given: dict[str, Any], reason: Unsuitable
) -> None:
    rule = rule_of((FIRST, 100), fallback=(SECOND.id,))
    accounts = (changed(FIRST, **terms),)
    route = route_of(rule, subject=subject_of(**given), accounts=accounts)
    assert left_out(route)["first"] is reason
    suitable = route_of(rule, accounts=accounts, subject=subject_of()) if given else route
    assert suitable.first.account.code in ("first", "second")
    if "method_type" not in given or given["method_type"] == "card":
        assert (codes(route), route.first.reason) == (["second"], Reason.FALLBACK)


def test_an_account_whose_psp_does_not_answer_is_left_out() -> None:
    route = route_of(rule_of((FIRST, 100), fallback=(SECOND.id,)), unwell=(FIRST,))
    assert (codes(route), left_out(route)) == (["second"], {"first": Unsuitable.BREAKER_OPEN})


def test_if_no_account_is_left_the_first_one_says_why() -> None:
    paused = changed(FIRST, status=PspAccountStatus.PAUSED)
    route = route_of(rule_of((FIRST, 100)), accounts=(paused,))
    assert (route.candidates, route.first.account) == ((), paused)


def test_a_method_that_belongs_to_an_account_is_charged_there_whatever_the_rules_say() -> None:
    rule = rule_of((FIRST, 100), fallback=(SECOND.id,))
    at_second = route_of(rule, subject=subject_of(token_account_ids=frozenset({SECOND.id})))
    assert (codes(at_second), at_second.first.reason) == (["second"], Reason.FALLBACK)
    at_own = route_of(rule, subject=subject_of(token_account_ids=frozenset({OWN.id})))
    assert (codes(at_own), at_own.first.reason) == (["own"], Reason.METHOD_OF_ACCOUNT)
    elsewhere = Unsuitable.METHOD_OF_ANOTHER_ACCOUNT
    assert left_out(at_own) == {"first": elsewhere, "second": elsewhere}


@settings(deadline=None, max_examples=50)
@given(st.integers(min_value=1, max_value=99), st.integers(min_value=0, max_value=2**32))
def test_the_parts_of_many_payments_are_the_shares(percent: int, seed: int) -> None:
    rule = rule_of((FIRST, percent), (SECOND, 100 - percent), id=uuid.UUID(int=seed))
    drawn = [rule.share_of(uuid.UUID(int=number)).account_id for number in range(2_000)]
    assert abs(drawn.count(FIRST.id) / 20 - percent) <= PERCENTAGE_POINTS


def test_a_payment_goes_the_same_way_however_often_it_is_asked() -> None:
    rule, subject = rule_of((FIRST, 50), (SECOND, 50)), subject_of()
    route = route_of(rule, subject=subject)
    assert route.first.reason is Reason.SPLIT
    renamed = replace(rule, name="renamed", position=7)
    for _ in range(3):
        assert codes(route_of(renamed, subject=subject)) == codes(route)
