"""How calls, unknown outcomes and notifications show in the metrics, and what a scrape costs."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from payments import public_ids
from payments.models import Case, Delivery, Dispute, Operation, SetupAttempt, WebhookEndpoint
from payments.services.cases.opening import open_case
from payments.services.commands.operators.cases import close_case
from payments.services.event_stream import positions
from payments.services.event_stream.numbering import assign_numbers
from payments.services.recovery.setups import resolve_due_setups
from payments.states import CaseKind
from payments.tests.support.api_client import api_of
from payments.tests.support.dispute_desk import Desk
from payments.tests.support.factories import set_credentials, staff
from payments.tests.support.listening import (
    MerchantServer,
    answering,
    attempt_due,
    emitted,
    fan_out_all,
    open_endpoint,
    past,
)
from payments.tests.support.metrics_scrape import read, value
from payments.tests.support.notices import store_notice
from payments.tests.support.shop import Shop, body_of
from paymentsite.celery import heartbeat_money


def test_calls_are_counted_by_outcome_and_timed(shop: Shop) -> None:
    account = shop.account.code
    shop.create()
    shop.create(token="pm_card_chargeDeclined", order_id="another")
    samples = read()
    charge = (("account", account), ("kind", "charge"))
    assert samples["payments_psp_calls_total", (*charge, ("outcome", "succeeded"))] == 1
    assert samples["payments_psp_calls_total", (*charge, ("outcome", "declined"))] == 1
    assert samples["payments_psp_call_seconds_count", charge] == 2
    assert samples["payments_psp_calls_under_way", charge] == 0


def test_unknown_outcomes_are_counted_with_the_age_of_the_oldest(shop: Shop) -> None:
    assert value("payments_operations_unknown") == 0
    assert value("payments_oldest_unknown_operation_seconds") == 0
    shop.psp.script({"drop_after": True}, order_id=shop.order_id)
    intent_id = body_of(shop.create())["id"]
    assert shop.intent(intent_id).status == "PROCESSING"
    Operation.objects.update(next_check_at=timezone.now() - timedelta(seconds=100))
    assert value("payments_operations_unknown") == 1
    assert 0 < value("payments_oldest_unknown_operation_seconds") < 60
    assert 100 <= value("payments_recovery_overdue_seconds") < 160
    shop.settle()
    assert value("payments_operations_unknown") == 0
    assert value("payments_recovery_overdue_seconds") == 0


def test_unknown_setups_of_cards_are_counted_too(shop: Shop) -> None:
    shop.psp.script({"drop_after": 1}, kind="setup", times=1)
    given = {"payment_method": "pm_card_visa", "confirm": True}
    assert api_of(shop).post("/v1/setup_intents", **given).body["status"] == "processing"
    SetupAttempt.objects.update(next_check_at=timezone.now() - timedelta(seconds=100))
    assert value("payments_setups_unknown") == 1
    assert 0 < value("payments_oldest_unknown_setup_seconds") < 60
    assert 100 <= value("payments_setups_overdue_seconds") < 160
    assert value("payments_operations_unknown") == 0
    resolve_due_setups()
    assert value("payments_setups_unknown") == value("payments_setups_overdue_seconds") == 0


def test_notifications_waiting_and_refused_and_the_last_run_of_a_sweep(shop: Shop) -> None:
    store_notice(shop)
    heartbeat_money()
    samples = read()
    assert samples["payments_notifications_waiting", ()] == 1
    assert samples["payments_notifications_dead", ()] == 0
    heartbeat = (("sweep", "heartbeat-money"),)
    assert 0 <= samples["payments_sweep_age_seconds", heartbeat] < 60
    assert samples["payments_sweep_runs_total", heartbeat] == 1
    assert samples["payments_sweep_failures_total", heartbeat] == 0
    before = samples.get(("payments_webhooks_refused_total", (("reason", "too_large"),)), 0)
    set_credentials(shop.account, webhook_secrets="a secret of a test")
    Client().post(f"/psp/{shop.account.code}/webhook", b" " * 300_000, content_type="text/plain")
    assert value("payments_webhooks_refused_total", reason="too_large") == before + 1


def test_events_and_deliveries_that_wait_are_seen_and_so_are_dead_letters(
    shop: Shop, server: MerchantServer, loopback: None, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint, _ = open_endpoint(shop.merchant, server.url)
    ways = [(("way", way),) for way in ("webhooks", "stream")]
    assert {read()["payments_events_overdue_seconds", way] for way in ways} == {0}
    shop.create()
    samples = read()
    assert all(0 < samples["payments_events_overdue_seconds", way] < 60 for way in ways)
    fan_out_all()
    assign_numbers()
    positions.add_groups(settings.STREAM_GROUPS)
    samples = read()
    assert {samples["payments_events_overdue_seconds", way] for way in ways} == {0}
    events = len(emitted(shop.merchant))
    assert samples["payments_stream_behind", (("group", "fraud"),)] == events
    Delivery.objects.filter(seq=1).update(next_attempt_at=past(1))
    assert value("payments_deliveries_overdue_seconds") >= 86_400
    server.answer = answering(500)
    exhausted = (("reason", "attempts_exhausted"),)
    before = read().get(("payments_deliveries_dead_lettered_total", exhausted), 0)
    Delivery.objects.filter(seq=1).update(attempts_since_requeue=9)
    with caplog.at_level(logging.ERROR):
        attempt_due()
    assert read()["payments_deliveries_dead_lettered_total", exhausted] == before + 1
    [alert] = [each for each in caplog.messages if each.startswith("alert: ")]
    dead = Delivery.objects.get(seq=1)
    assert alert == (
        f"alert: 1 dead letters for webhook endpoint {endpoint} after 10 attempts "
        f"(it answered 500): {dead}"
    )
    Delivery.objects.filter(seq=2).update(next_attempt_at=past(1))
    assert value("payments_deliveries_overdue_seconds") == 0, "an endpoint that fails is late"


def test_open_cases_are_counted_by_kind_and_age(shop: Shop) -> None:
    def cases() -> dict[tuple[str, str], float]:
        return {
            (dict(labels)["kind"], dict(labels)["age"]): count
            for (name, labels), count in read().items()
            if name == "payments_cases_open"
        }

    empty = cases()
    assert set(empty) == {(k.value, age) for k in CaseKind for age in ("1h", "1d", "7d", "older")}
    assert set(empty.values()) == {0}, "an alert needs a series before there is a case"
    for days in (0, 0.5, 3, 30, 400):
        case = Case(id=public_ids.new_id(), kind=CaseKind.CONTRADICTION.value, livemode=False)
        case.subject, case.summary, case.opened_at = f"{days} days", "not explained", past(days)
        open_case(case)
    contradictions = {age: n for (kind, age), n in cases().items() if kind == "contradiction"}
    assert contradictions == {"1h": 1, "1d": 1, "7d": 1, "older": 2}
    assert sum(cases().values()) == 5
    for case in Case.objects.all():
        close_case(case.id, author=staff("ada"), resolution="explained")
    assert cases() == empty


def test_disputes_without_evidence_are_counted_by_days_left(shop: Shop) -> None:
    def disputes() -> dict[str, float]:
        return {
            dict(labels)["days_left"]: count
            for (name, labels), count in read().items()
            if name == "payments_disputes_unanswered" and count
        }

    desk = Desk(shop)
    desk.pay()
    dispute = desk.opened(due_in_seconds=100 * 3600)
    for days, label in (
        (-0.1, "overdue"),
        (0.9, "0"),
        (1.1, "1"),
        (2.9, "2"),
        (3, "2"),
        (30, "7+"),
    ):
        Dispute.objects.update(evidence_due_by=past(-days))
        assert disputes() == {label: 1}
    Dispute.objects.update(evidence_due_by=None)
    assert disputes() == {"none": 1}
    Dispute.objects.update(answered_stage="inquiry")
    assert disputes() == {"none": 1}, "the evidence of the stage before"
    Dispute.objects.update(answered_stage=dispute.stage)
    assert disputes() == {}, "nothing more can be submitted"


def test_failing_endpoints_are_counted_by_for_how_long_while_they_are_enabled(shop: Shop) -> None:
    def failing() -> dict[str, float]:
        ages = ("1h", "1d", "7d", "older")
        return {age: value("payments_webhook_endpoints_failing", age=age) for age in ages}

    open_endpoint(shop.merchant, "https://shop.example/hook")
    assert failing() == {"1h": 0, "1d": 0, "7d": 0, "older": 0}
    WebhookEndpoint.objects.update(failing_since=past(2))
    assert failing() == {"1h": 0, "1d": 0, "7d": 1, "older": 0}
    WebhookEndpoint.objects.update(
        status="disabled", disabled_because="failing", disabled_at=past(0)
    )
    assert failing() == {"1h": 0, "1d": 0, "7d": 0, "older": 0}


@pytest.mark.usefixtures("really_closed")
def test_the_queries_do_not_grow_with_data(shop: Shop) -> None:
    """Each reads an index of what is open, or the table that has one row per sweep."""
    with CaptureQueriesContext(connection) as few:
        read()
    for number in range(5):
        shop.create(order_id=f"order-{number}")
    with CaptureQueriesContext(connection) as many:
        read()
    assert len(many) == len(few) == 24
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
        for query in many.captured_queries:
            cursor.execute("EXPLAIN " + query["sql"].replace("$1", "10000"))
            plan = "\n".join(row[0] for row in cursor.fetchall())
            if "paymentsite_sweep_run" not in plan:
                assert "Seq Scan" not in plan, plan
        cursor.execute("RESET enable_seqscan")
