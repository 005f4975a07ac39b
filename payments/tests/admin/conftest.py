"""A superuser in the console, and a shop with a row in every table."""

from __future__ import annotations

from datetime import date

import pytest
from django.db import transaction

from ledger.models import BalanceSnapshot, LedgerAccount
from ledger.periods import close_days
from ledger.seals import seal_rows
from payments.clock import now_utc
from payments.models import Act, ApiKey, Dispatch, Event, PaymentIntent, RoutingRule
from payments.services.audit.configuration import record_rule, state_of_rule
from payments.services.commands.operators.service_keys import create_service_key
from payments.services.routing.choice import route_by
from payments.services.routing.decisions import decision
from payments.services.routing.rules import RoutingSubject, rule_of
from payments.services.verification.recent import check_recent_payments
from payments.tests.admin.console import (
    SECRET_SHA256,
    Console,
    add_customer,
    listen_in_vain,
    log_in,
    sell,
    settle,
)
from payments.tests.support.factories import TESTS, staff
from payments.tests.support.notices import store_notice
from payments.tests.support.shop import Shop
from paymentsite.celery import heartbeat_money
from reconciliation.models import BooksClose


@pytest.fixture
def trading(shop: Shop) -> Shop:
    """A shop with at least one row in every table of payments and of the books."""
    add_customer(shop, email="ada@example.com")
    ApiKey.objects.create(merchant=shop.merchant, secret_sha256=SECRET_SHA256, last4="tsel")
    sell(shop, order_id=shop.order_id, key="key-of-the-sale")
    shop.create(order_id=f"{shop.order_id}-held", manual=True)  # It has a deadline.
    _route(shop)
    store_notice(shop, data={"references": shop.operations_references(), "note": "<script>"})
    listen_in_vain(shop)
    BalanceSnapshot.objects.create(
        account=LedgerAccount.objects.first(),
        horizon=1,
        debits_minor=0,
        credits_minor=0,
        taken_at=now_utc(),
    )
    event = Event.objects.earliest("pk")
    Dispatch.objects.create(event_id=event.pk, aggregateid=event.aggregateid, seq=event.seq)
    heartbeat_money()
    check_recent_payments()
    settle(shop)
    seal_rows()
    _close_books(shop)
    return shop


@pytest.fixture
def superuser(database: None) -> Console:
    return log_in(is_superuser=True)


def _route(shop: Shop) -> None:
    """A rule of every kind of condition, and a decision as if the sale had met it."""
    code, intent = shop.account.code, PaymentIntent.objects.get(order_id=shop.order_id)
    rule = RoutingRule.objects.create(
        livemode=False,
        position=1,
        name="cards of Germany",
        conditions={"methods": ["card"], "countries": ["DE"], "metadata": {"shop": "berlin"}},
        targets={"split": [{"account": code, "share": 100}], "fallback": [code]},
        active=False,
    )
    create_service_key("importer", author=TESTS)
    record_rule(
        Act.ROUTING_RULE_ADD,
        rule,
        before={},
        after=state_of_rule(rule),
        author=staff("ada", "<script>"),
    )
    subject = RoutingSubject(
        merchant_id=shop.merchant.id,
        livemode=False,
        intent_id=intent.id,
        amount=intent.amount,
        metadata={"shop": "berlin"},
        own_account_id=shop.account.id,
        method_type="card",
        country="DE",
        token_account_ids=frozenset({shop.account.id}),
    )
    route = route_by([rule_of(rule)], subject)
    charge_id = intent.latest_charge_id
    with transaction.atomic():
        decision(route, route.first, intent=intent, sequence=1, charge_id=charge_id).save()


def _close_books(shop: Shop) -> None:
    """A day of long ago, and the row of its close."""
    day = date(2020, 1, 1)
    close_days(shop.account.code, day)
    BooksClose.objects.create(
        through=day,
        psp_accounts=[shop.account.code],
        author="staff:ada",
        open_points=["<script>"],
        accounts_count=0,
        balances_sha256="ab" * 32,
        head_number=1,
        head_sha256="cd" * 32,
        closed_at=now_utc(),
    )
