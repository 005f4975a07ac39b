"""Payments go where the rules send them, if their method is known there; each says why."""

from __future__ import annotations

from typing import Any

import pytest

from payments.models import Operation, PaymentIntent, PaymentMethod, PspAccount, RoutingDecision
from payments.services.psp_gateway import accounts
from payments.services.psp_gateway.hosted_fields import hosted_fields_of
from payments.services.routing import rules
from payments.services.routing.rules import rule_of
from payments.states import PspAccountStatus
from payments.tests.checkout.visits import visit
from payments.tests.routing.rules_of_tests import add_rule, token_of_account
from payments.tests.scenarios.test_payment_costs import all_statements
from payments.tests.support.api_client import ApiClient, api_of
from payments.tests.support.shop import Shop, another_account

INTENTS = "/v1/payment_intents"
PAY = {"amount": 10_000, "currency": "usd"}
SALE = {**PAY, "payment_method": "pm_card_visa", "confirm": True}


@pytest.fixture
def other(shop: Shop) -> PspAccount:
    """A second account that the shop's payments may go to."""
    return another_account(shop)


@pytest.fixture
def api(shop: Shop) -> ApiClient:
    return api_of(shop)


def set_terms(account: PspAccount, **values: Any) -> None:
    PspAccount.objects.filter(pk=account.pk).update(**values)
    accounts.forget_row(account.pk)


def charged_at() -> list[str]:
    rows = Operation.objects.order_by("id").select_related("psp_account")
    return [each.psp_account.code for each in rows]


def decisions() -> list[tuple[str, str, list[dict[str, Any]]]]:
    rows = RoutingDecision.objects.order_by("sequence").select_related("psp_account")
    return [(each.psp_account.code, each.reason, each.candidates) for each in rows]


def test_a_rule_sends_a_charge_to_its_account_and_the_decision_says_why(
    shop: Shop, other: PspAccount, api: ApiClient
) -> None:
    rule = add_rule(shop.merchant, (other, 100), fallback=(shop.account,), currencies=["USD"])
    assert api.post(INTENTS, **SALE, metadata={"order_id": shop.order_id}).status == 200
    assert api.post(INTENTS, **{**SALE, "currency": "eur"}).status == 200
    assert charged_at() == [other.code, shop.account.code]
    first, second = RoutingDecision.objects.order_by("id")
    intent = PaymentIntent.objects.earliest("id")
    assert (first.intent_id, first.charge_id) == (intent.id, intent.latest_charge_id)
    assert (first.psp_account_id, first.sequence) == (other.id, 1)
    assert (first.rule_id, first.rule_position, first.rule_name) == (rule.id, 1, "rule 1")
    assert (first.reason, first.candidates[0]) == (
        "rule",
        {"account": other.code, "reason": "rule"},
    )
    assert (second.reason, second.rule_id) == ("default_account", None)
    assert [each["kind"] for each in shop.effects()] == ["authorize", "capture"]
    refund = api.post("/v1/refunds", payment_intent=intent.public_id)
    assert refund.body["status"] == "succeeded"


def test_a_payment_costs_no_statement_and_no_decision_where_no_rule_is(
    shop: Shop, other_shop: Shop, other: PspAccount
) -> None:
    shop.create(order_id="warm-up", caller=shop.caller(key="warm-up"))
    with all_statements() as before:
        shop.create(order_id="before", caller=shop.caller(key="before"))
    add_rule(other_shop.merchant, (other, 100))
    rules.stored_rules(shop.merchant.id, livemode=False)
    with all_statements() as after:
        shop.create(order_id="after", caller=shop.caller(key="after"))
    assert len(after) <= len(before)
    assert decisions() == []


def test_every_process_sees_a_changed_rule_after_a_while(
    shop: Shop, other: PspAccount, api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = add_rule(shop.merchant, (other, 100))
    api.post(INTENTS, **SALE)
    type(rule).objects.update(active=False)
    api.post(INTENTS, **SALE)
    assert accounts.SEEN_WITHIN_SECONDS > rules.RULES_SECONDS
    monkeypatch.setattr(rules, "RULES_SECONDS", 0.0)
    api.post(INTENTS, **SALE)
    assert charged_at() == [other.code, other.code, shop.account.code]


def test_a_rule_about_the_card_decides_once_the_token_was_looked_up(
    shop: Shop, other: PspAccount, api: ApiClient
) -> None:
    add_rule(shop.merchant, (other, 100), brands=["amex"])
    api.post(INTENTS, **SALE)
    api.post(INTENTS, **{**SALE, "payment_method": "pm_card_amex"})
    waiting = api.post(INTENTS, **PAY).body["id"]
    api.post(f"{INTENTS}/{waiting}/confirm", payment_method="pm_card_amex")
    assert charged_at() == [shop.account.code, other.code, other.code]


def test_a_saved_method_is_charged_at_the_account_that_made_it(
    shop: Shop, other: PspAccount, api: ApiClient
) -> None:
    customer = api.post("/v1/customers").body["id"]
    given = {"payment_method": "pm_card_visa"}
    saved = api.post("/v1/payment_methods/pm_card_visa/attach", customer=customer).body["id"]
    add_rule(shop.merchant, (other, 100))
    given = {"payment_method": saved, "customer": customer}
    waiting = api.post(INTENTS, **PAY).body["id"]
    assert PaymentIntent.objects.get().psp_account_id == other.id
    assert api.post(f"{INTENTS}/{waiting}", **given).status == 200
    assert api.post(f"{INTENTS}/{waiting}/confirm").body["status"] == "succeeded"
    assert api.post(INTENTS, **{**SALE, **given}).body["status"] == "succeeded"
    assert charged_at() == [shop.account.code] * 2
    left_out = {"account": other.code, "reason": "rule", "left_out": "method_of_another_account"}
    pinned = {"account": shop.account.code, "reason": "method_of_account"}
    assert decisions() == [(shop.account.code, "method_of_account", [left_out, pinned])] * 2


@pytest.mark.parametrize("has_fallback", [False, True])
def test_a_token_of_another_account_is_charged_there_or_refused_with_nothing_written(
    shop: Shop, other: PspAccount, api: ApiClient, has_fallback: bool
) -> None:
    token = token_of_account(shop.account)
    add_rule(shop.merchant, (other, 100), fallback=(shop.account,) if has_fallback else ())
    named = {"payment_method_data": {"type": "card", "card": {"token": token}}}
    reply = api.post(INTENTS, **PAY, **named, confirm=True)
    if has_fallback:
        assert reply.status == 200, reply.body
        assert charged_at() == [shop.account.code]
        assert [reason for _, reason, _ in decisions()] == ["fallback"]
        return
    assert (reply.status, reply.error["code"]) == (400, "payment_method_provider_mismatch")
    for model in (PaymentIntent, PaymentMethod, Operation, RoutingDecision):
        assert not model.objects.exists(), model


def test_a_paused_account_is_passed_over_or_refused_with_nothing_written_or_asked(
    shop: Shop, other: PspAccount, api: ApiClient
) -> None:
    rule = add_rule(shop.merchant, (other, 100))
    set_terms(other, status=PspAccountStatus.PAUSED)
    calls = shop.psp.calls()
    reply = api.post(INTENTS, **SALE)
    assert (reply.status, reply.error["code"]) == (400, "payment_provider_paused")
    assert shop.psp.calls() == calls
    for model in (PaymentIntent, PaymentMethod, Operation, RoutingDecision):
        assert not model.objects.exists(), model
    rule.targets = {**rule.targets, "fallback": [shop.account.code]}
    rule.save(update_fields=["targets"])
    rules.forget_rules()
    assert api.post(INTENTS, **SALE).body["status"] == "succeeded"
    left_out = {"account": other.code, "reason": "rule", "left_out": "paused"}
    taken = {"account": shop.account.code, "reason": "fallback"}
    assert decisions() == [(shop.account.code, "fallback", [left_out, taken])]


def test_shares_are_those_of_the_payment_however_often_it_is_charged(
    shop: Shop, other: PspAccount, api: ApiClient
) -> None:
    rule = rule_of(add_rule(shop.merchant, (shop.account, 50), (other, 50)))
    for _ in range(4):
        api.post(INTENTS, **{**SALE, "payment_method": "pm_card_chargeDeclined"})
        declined = PaymentIntent.objects.latest("id")
        again = api.post(f"{INTENTS}/{declined.public_id}/confirm", payment_method="pm_card_visa")
        assert again.body["status"] == "succeeded"
        drawn = {rule.share_of(declined.id).account_id}
        assert set(declined.operations.values_list("psp_account_id", flat=True)) == drawn
        sequences = declined.routing_decisions.order_by("sequence").values_list(
            "sequence", "reason"
        )
        assert list(sequences) == [(1, "split"), (2, "split")]


def test_types_of_methods_are_those_of_all_accounts_that_routing_may_choose(
    shop: Shop, other: PspAccount, api: ApiClient
) -> None:
    set_terms(shop.account, methods=["card"])
    add_rule(shop.merchant, (other, 100), methods=["ideal"])
    euros = {"amount": 900, "currency": "eur"}
    created = api.post(INTENTS, **euros, automatic_payment_methods={"enabled": True}).body
    assert sorted(created["payment_method_types"]) == ["card", "ideal"]
    stays = {"enabled": True, "allow_redirects": "never"}
    staying = api.post(INTENTS, **euros, automatic_payment_methods=stays).body
    assert staying["payment_method_types"] == ["card"]
    ideal = {"payment_method_data": {"type": "ideal"}, "return_url": "https://shop.example/"}
    paid = api.post(f"{INTENTS}/{created['id']}/confirm", **ideal).body
    assert paid["status"] == "requires_action"
    assert (
        api.post(f"{INTENTS}/{staying['id']}/confirm", payment_method="pm_card_visa").status == 200
    )
    assert charged_at() == [other.code, shop.account.code]
    nowhere = {"payment_method_data": {"type": "sepa_debit", "sepa_debit": {"token": "x"}}}
    refused = api.post(INTENTS, **euros, confirm=True, **nowhere)
    assert refused.status == 400


def test_the_page_of_a_session_shows_the_fields_of_the_account_that_is_chosen(
    shop: Shop, other: PspAccount
) -> None:
    add_rule(shop.merchant, (other, 100), methods=["card"])
    visitor = visit(shop)
    fields = hosted_fields_of(other.id)
    assert fields is not None
    assert fields.public_key in visitor.look().content.decode()
    assert visitor.pay(token_of_account(other))["state"] == "succeeded"
    assert charged_at() == [other.code]
    elsewhere = visit(shop, metadata={"order_id": "elsewhere"})
    told = elsewhere.pay(token_of_account(shop.account))
    assert (told["state"], told["attempt"]) == ("pay", 1)
    assert charged_at() == [other.code]
