"""Payments that changed lately are compared with the books every minute."""

from __future__ import annotations

import logging

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from payments.models import PaymentIntent
from payments.services import spot_checks
from payments.tests.shop import Shop, body_of


def test_payments_that_agree_with_the_books_are_no_news(shop: Shop) -> None:
    shop.create()
    shop.create(order_id="another", token="pm_card_chargeDeclined")
    assert spot_checks.check_recent_payments() == 0


def test_a_payment_that_differs_is_an_alert_and_is_not_repaired(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    intent_id = body_of(shop.create())["id"]
    PaymentIntent.objects.update(amount_refunded_minor=100)
    with caplog.at_level(logging.ERROR):
        assert spot_checks.check_recent_payments() == 1
    assert intent_id in caplog.text
    assert "alert: " in caplog.text
    assert shop.intent(intent_id).amount_refunded_minor == 100


def test_it_asks_as_much_for_many_payments_as_for_few(shop: Shop) -> None:
    shop.create()
    with CaptureQueriesContext(connection) as few:
        spot_checks.check_recent_payments()
    for number in range(4):
        shop.create(order_id=f"order-{number}")
    with CaptureQueriesContext(connection) as many:
        spot_checks.check_recent_payments()
    assert len(many) == len(few)


def test_it_is_bounded(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        shop.create(order_id=f"order-{number}")
    PaymentIntent.objects.update(amount_refunded_minor=100)
    monkeypatch.setattr(spot_checks, "PAYMENTS_MOST", 2)
    assert spot_checks.check_recent_payments() <= 2
