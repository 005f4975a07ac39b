"""Tokens of one payment method at several PSP accounts: each is charged at its own account only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from payments.models import Operation, PaymentMethod, PspAccount, RoutingDecision
from payments.services.callers.caller import CommandRequest
from payments.services.commands import Confirmation, confirm_intent
from payments.services.commands.payment_methods import MethodDetails, NewMethod
from payments.services.routing.rules import forget_rules
from payments.tests.checkout.visits import visit
from payments.tests.commands.test_failover import decline_at
from payments.tests.support.late_outcomes import assert_the_books_agree
from payments.tests.support.shop import (
    Shop,
    another_account,
    body_of,
    fail_over,
    render_intent,
    uuid_of,
)


@pytest.fixture
def second(shop: Shop) -> Iterator[PspAccount]:
    account = another_account(shop)
    fail_over(shop, account)
    yield account
    forget_rules()


def test_the_alternative_of_the_next_account_is_charged_there(
    shop: Shop, second: PspAccount
) -> None:
    decline_at(shop, shop.account)
    named = NewMethod(
        method_type="card",
        token="pm_card_mastercard",
        details=MethodDetails(),
        alternatives={second.code: "pm_card_amex", "an-account-of-no-rule": "pm_card_visa"},
    )
    intent_id = body_of(shop.create(confirm=False))["id"]
    confirm_intent(
        CommandRequest(shop.caller(), render=render_intent),
        intent_id=uuid_of(intent_id),
        payment_method=named,
        confirmation=Confirmation(),
    )
    charges = shop.operations(intent_id)
    assert [each.token for each in charges] == ["pm_card_mastercard", "pm_card_amex"]
    assert [each.status for each in charges] == ["DECLINED", "SUCCEEDED"]
    first, charged = (PaymentMethod.objects.get(pk=each.payment_method_id) for each in charges)
    assert first.alternatives[second.code] == "pm_card_amex"
    assert (charged.psp_account, charged.brand) == (second, "amex")
    assert_the_books_agree()


def test_a_checkout_page_may_send_the_tokens_of_several_accounts(
    shop: Shop, second: PspAccount
) -> None:
    decline_at(shop, shop.account)
    visitor = visit(shop)
    told = visitor.pay("pm_card_mastercard", alternatives={second.code: "pm_card_amex"})
    assert told["state"] == "succeeded", told
    charges = Operation.objects.filter(intent_id=visitor.intent.id).order_by("id")
    assert [each.token for each in charges] == ["pm_card_mastercard", "pm_card_amex"]
    assert [kind for kind, _ in visitor.effects()] == ["authorize", "capture"]
    assert_the_books_agree()


def test_why_no_account_took_the_charge_is_kept(shop: Shop, second: PspAccount) -> None:
    decline_at(shop, shop.account)
    named = NewMethod(
        method_type="card",
        token="pm_card_visa",
        details=MethodDetails(),
        alternatives={second.code: "pm_card_nothing"},
    )
    intent_id = body_of(shop.create(confirm=False))["id"]
    confirm_intent(
        CommandRequest(shop.caller(), render=render_intent),
        intent_id=uuid_of(intent_id),
        payment_method=named,
        confirmation=Confirmation(),
    )
    assert [each.status for each in shop.operations(intent_id)] == ["DECLINED"]
    decision = RoutingDecision.objects.order_by("sequence").last()
    assert decision is not None
    assert (decision.charge_id, decision.reason) == (None, "retriable_decline")
    left_out = {each["account"]: each.get("left_out") for each in decision.candidates}
    assert left_out[second.code] == "method_of_another_account"


@pytest.mark.parametrize(
    "alternatives",
    ['["pm_card_visa"]', '{"sandbox": 1}', '{"sandbox": "4242-4242-4242-4242"}', '{"sandbox": ""}'],
)
def test_postgresql_refuses_alternatives_that_are_no_tokens(
    shop: Shop, owner_cursor: psycopg.Cursor[Any], alternatives: str
) -> None:
    shop.create()
    with pytest.raises(psycopg.errors.CheckViolation, match="payment_method_alternatives"):
        owner_cursor.execute("UPDATE payments_payment_method SET alternatives = %s", [alternatives])
