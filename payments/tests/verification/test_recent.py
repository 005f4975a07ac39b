"""Every payment that changed is compared with the books, however many changed."""

from __future__ import annotations

import logging
import math
import time
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ledger.database.row_ids import ANNOUNCE_SQL, horizon_seconds
from payments.models import BooksCheck, Case, Event, PaymentIntent
from payments.selectors import books_checks
from payments.services.commands.operators.cases import close_case
from payments.services.verification import recent
from payments.tests.support.factories import staff
from payments.tests.support.shop import Shop, body_of, uuid_of


def spoil(*intent_ids: str) -> None:
    """Change payments by hand, without an event."""
    for intent_id in intent_ids:
        row = PaymentIntent.objects.filter(pk=uuid_of(intent_id))
        assert row.update(amount_refunded_minor=100) == 1


def pay(shop: Shop, number: int = 0) -> str:
    identifier: str = body_of(shop.create(order_id=f"{shop.order_id}-{number}"))["id"]
    time.sleep(0.002)  # Ids are complete by whole milliseconds.
    return identifier


def test_payments_that_agree_with_the_books_raise_no_alert(shop: Shop) -> None:
    shop.create()
    shop.create(order_id="another", token="pm_card_chargeDeclined")
    time.sleep(0.002)  # Ids are complete by whole milliseconds.
    assert recent.check_recent_payments() == 0
    row = BooksCheck.objects.get()
    assert (row.name, row.compared, row.differences) == ("recent payments", 2, 0)
    assert not Case.objects.exists()


def test_a_payment_that_differs_raises_an_alert_and_a_case_and_is_not_repaired(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    intent_id = pay(shop)
    spoil(intent_id)
    with caplog.at_level(logging.ERROR):
        assert recent.check_recent_payments() == 1
    assert f"alert: the books and a payment differ: {intent_id}" in caplog.text
    assert shop.intent(intent_id).amount_refunded_minor == 100
    case = Case.objects.get()
    assert (case.kind, case.subject, case.merchant) == ("books_differ", intent_id, shop.merchant)
    assert case.intent_id == uuid_of(intent_id)
    assert "refunded is stored as 1.00 USD, the books say 0.00 USD" in case.summary


def test_the_alert_stays_until_the_case_is_closed(shop: Shop) -> None:
    intent_id = pay(shop)
    spoil(intent_id)
    recent.check_recent_payments()
    assert recent.check_recent_payments() == 0, "nothing has changed since"
    assert books_checks.books_differences() == 1
    shop.refund(intent_id, 500)
    assert recent.check_recent_payments() == 1, "it changed and still differs"
    [case] = Case.objects.all()
    close_case(case.id, author=staff("ada"), resolution="Changed by hand in the database.")
    assert books_checks.books_differences() == 0


def test_every_payment_is_compared_and_a_run_continues_where_the_last_ended(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run has time for one batch only; the rest counts as behind."""
    monkeypatch.setattr(recent, "EVENTS_PER_BATCH", 4)
    monkeypatch.setattr(recent, "SWEEP_SECONDS", 0.0)
    intent_ids = [pay(shop, number) for number in range(8)]
    spoil(*intent_ids)
    runs = 0
    while runs == 0 or books_checks.recent_check_behind_seconds() > 0:
        recent.check_recent_payments()
        runs += 1
        assert runs < 100
    assert runs == math.ceil(Event.objects.count() / 4) > 2
    assert set(Case.objects.values_list("subject", flat=True)) == set(intent_ids)


def test_events_are_compared_only_once_no_older_one_can_still_commit(
    shop: Shop, owner_cursor: psycopg.Cursor[Any]
) -> None:
    """An event that commits late has an old id; the cursor must not be past it."""
    owner_cursor.execute("BEGIN")
    owner_cursor.execute(f"SELECT {ANNOUNCE_SQL}")
    spoil(pay(shop))
    assert recent.check_recent_payments() == 0
    assert books_checks.recent_check_behind_seconds() > 0
    assert horizon_seconds() > 0
    owner_cursor.execute("COMMIT")
    assert recent.check_recent_payments() == 1
    assert books_checks.recent_check_behind_seconds() == 0


def test_a_difference_is_reported_again_after_a_crash_before_the_cursor_moved(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is killed after its report. The next run reports it too, in the same case."""
    spoil(pay(shop))

    def die(*_: Any, **__: Any) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying, pytest.raises(KeyboardInterrupt):
        dying.setattr(recent, "advance", die)
        recent.check_recent_payments()
    assert recent.check_recent_payments() == 1
    assert Case.objects.count() == 1


def test_concurrent_runs_move_the_cursor_once(shop: Shop, run_together: Any) -> None:
    intent_ids = [pay(shop, number) for number in range(3)]
    spoil(*intent_ids)
    found = run_together(*[recent.check_recent_payments] * 4)
    assert max(found) == len(intent_ids)
    assert Case.objects.count() == len(intent_ids)
    assert BooksCheck.objects.get().compared == len(intent_ids)


def test_the_number_of_queries_does_not_grow_with_the_payments(shop: Shop) -> None:
    recent.check_recent_payments()
    shop.create()
    with CaptureQueriesContext(connection) as few:
        recent.check_recent_payments()
    for number in range(4):
        shop.create(order_id=f"order-{number}")
    with CaptureQueriesContext(connection) as many:
        recent.check_recent_payments()
    assert len(many) == len(few)
