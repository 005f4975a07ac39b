"""The batch closes the notifications that state a result which our rows show, and no other."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from payments.clock import now_utc
from payments.models import Operation, PspNotification
from payments.services.psp_gateway import accounts, references
from payments.services.psp_notifications import known_results, processing, receiving
from payments.services.psp_notifications.known_results import close_known, is_known
from payments.tests.support.factories import credentials_of
from payments.tests.support.metrics_scrape import value
from payments.tests.support.notices import Hooks, only_notification, sign
from payments.tests.support.shop import Shop, body_of
from psp_adapters.contract.notifications import WebhookRequest
from psp_adapters.sandbox.mapping import OUTCOMES
from psp_adapters.sandbox.webhook import KNOWN_TYPES, account_of
from psp_adapters.tests.support.receiver import SECRET

STATEMENTS_PER_BATCH_MAX = 5
"""BEGIN, notifications, operations, the UPDATE, COMMIT. A ceiling only falls."""
UPDATES_PER_NOTIFICATION_MAX = 1
"""Each is an entry in two indexes."""
SAYS_THE_SAME = {
    "payment.authorized": {"payment.settled", "challenge.completed"},
    "payment.declined": {"challenge.failed"},
    "payment.refunded": {"refund.settled"},
}
"""Types that state the same result of the same kind. What each says follows from its operation."""


def notices_of_lives(shop: Shop, hooks: Hooks) -> list[dict[str, Any]]:
    """A genuine notice of every final result: sale, parts, refund, increment, void, decline."""
    shop.create(10_000)
    for order, command in (("parts", _in_parts), ("void", _void)):
        shop.order_id = f"{order}-{shop.merchant.id}"
        command(shop)
    shop.order_id = f"decline-{shop.merchant.id}"
    shop.create(700, token="pm_card_chargeDeclined")
    hooks.receiver.wait_for(9)
    notices = [each.notice for each in hooks.receiver.deliveries]
    return sorted(notices, key=lambda each: -each["data"]["operation"]["amount_minor"])


def _in_parts(shop: Shop) -> None:
    intent_id = body_of(shop.create(10_000, manual=True))["id"]
    shop.increment(intent_id, 12_000)
    shop.capture(intent_id, 4_000, final=False)
    shop.refund(intent_id, 1_000)


def _void(shop: Shop) -> None:
    shop.cancel(body_of(shop.create(6_000, manual=True))["id"])


def differences(notice: dict[str, Any], others: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The notice with one thing changed, for each thing that may not be closed unseen."""

    def changed(data: Any = (), operation: Any = (), **top: Any) -> dict[str, Any]:
        copy = deepcopy(notice) | top
        copy["data"] |= dict(data)
        if operation is None:
            del copy["data"]["operation"]
        else:
            copy["data"]["operation"] |= dict(operation)
        return copy

    data, operation = notice["data"], notice["data"]["operation"]
    outcome = OUTCOMES[operation["status"]]
    for status in (*(s for s, o in OUTCOMES.items() if o is not outcome), "teleported"):
        yield changed(operation={"status": status})
    for minor in (operation["amount_minor"] + 1, operation["amount_minor"] - 1, "1", 1.5, 2**70):
        yield changed(operation={"amount_minor": minor})
    for currency in ("EUR", "usd", "XXX", None):
        yield changed(operation={"currency": currency})
    for identifier in ("sop_other", "", None):
        yield changed(operation={"id": identifier})
    for payment_id in ("spay_other", ""):
        yield changed(data={"payment_id": payment_id})
    for kind in ("authorize", "increment", "capture", "void", "refund", "expire", None):
        if kind != operation["kind"]:
            yield changed(operation={"kind": kind})
    second = next(o for o in others if o["data"]["references"] != data["references"])
    for named in ([], second["data"]["references"], data["references"] * 2, ["op_7", "op_8"]):
        yield changed(data={"references": named})
    yield changed(operation=None)
    yield changed(type="dispute.created", data={"dispute": {"id": "sdis_1"}})


def other_types(notice: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The notice with every other type: a late failure, a reversal, an expiry and so on."""
    same = SAYS_THE_SAME.get(notice["type"], set()) | {notice["type"]}
    for type_ in sorted({*KNOWN_TYPES, "payment.teleported"} - same):
        if not type_.startswith("dispute."):
            yield deepcopy(notice) | {"type": type_}


class Desk:
    """Stores notices as if each had come over HTTP, all at once."""

    def __init__(self) -> None:
        self.rows: list[PspNotification] = []

    def add(self, shop: Shop, notice: dict[str, Any]) -> UUID:
        body = json.dumps(notice | {"id": f"sev_{len(self.rows)}"}).encode()
        request = WebhookRequest(headers={"Sandbox-Signature": sign(body)}, body=body)
        adapter = accounts.adapter_of(accounts.identity_of(shop.account.id))
        [read] = adapter.read_notifications(request, secrets=[SECRET], now=now_utc())
        self.rows.append(receiving._row_of(read, shop.account.id, body))
        return self.rows[-1].id

    def store(self) -> None:
        PspNotification.objects.bulk_create(self.rows)


def test_of_every_result_the_batch_closes_the_equal_notification_alone(
    shop: Shop, hooks: Hooks, other_shop: Shop
) -> None:
    genuine = notices_of_lives(shop, hooks)
    by_type = {each["type"]: each for each in genuine}
    assert len(by_type) == 6
    desk, different = Desk(), dict[UUID, dict[str, Any]]()
    equal = {desk.add(shop, notice) for notice in genuine}
    for notice in by_type.values():
        for each in differences(notice, genuine):
            different[desk.add(shop, each)] = notice
    for notice in (by_type["payment.authorized"], by_type["payment.declined"]):
        for each in other_types(notice):
            different[desk.add(shop, each)] = notice
    their_key = credentials_of(other_shop.account)["api_key"]
    foreign = genuine[0] | {"account": account_of(their_key)}
    different[desk.add(other_shop, foreign)] = genuine[0]
    desk.store()

    closed, left = close_known(processing.QUEUE, most=1_000)

    wrong = PspNotification.objects.filter(status="processed").exclude(pk__in=equal)
    assert [bytes(row.body) for row in wrong] == []
    assert (closed, set(left)) == (len(equal), set(different))
    assert value("payments_notifications_total", outcome="known") >= len(equal)
    # Each half of the rule refuses them without the other.
    operations = {references.reference_of(each.id): each for each in Operation.objects.all()}
    pairs = []
    for row in PspNotification.objects.filter(pk__in=different):
        [reference] = different[row.id]["data"]["references"]
        assert not is_known(row, operations[reference]), bytes(row.body)
        pairs.append((row.id, known_results._operation_id_of(row) or operations[reference].id))
    assert known_results._close(pairs) == set()


SALE = "payment.captured"


def a_sale(shop: Shop, hooks: Hooks) -> tuple[Operation, bytes]:
    """The charge of a sale, and the notice that it captured, not delivered yet."""
    shop.create(10_000)
    [notice] = hooks.caught(SALE)
    return Operation.objects.get(), notice.body


def test_an_operation_that_shows_anything_else_closes_nothing(shop: Shop, hooks: Hooks) -> None:
    operation, body = a_sale(shop, hooks)
    hooks.deliver(body)
    row = only_notification()
    for changes in (
        *({"revisions": 1}, {"excess_minor": 1}, {"psp_id": ""}, {"psp_payment_id": ""}),
        *({"psp_payment_id": "spay_other"}, {"status": "REVERSED"}),
    ):
        before = Operation.objects.filter(pk=operation.pk).values(*changes).get()
        Operation.objects.update(**changes)
        operation.refresh_from_db()
        assert close_known(processing.QUEUE, most=10) == (0, [row.id]), changes
        assert known_results._close([(row.id, operation.id)]) == set(), changes
        assert not is_known(row, operation), changes
        if "status" not in changes:
            Operation.objects.update(**before)
    assert only_notification().status == "stored"


@pytest.mark.usefixtures("database")
def test_pages_of_notifications_have_room_for_rows_that_change() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT reloptions FROM pg_class WHERE relname = 'payments_psp_notification'"
        )
        assert cursor.fetchone() == (["fillfactor=60"],)


def test_a_pending_operation_is_looked_up_although_the_notification_says_pending(
    shop: Shop, hooks: Hooks
) -> None:
    shop.psp.set_behavior(settle_delay_seconds=3_600)
    shop.create(10_000, token="pm_usBankAccount_success")
    [pending] = hooks.caught("payment.pending")
    hooks.deliver(pending)
    assert close_known(processing.QUEUE, most=10)[0] == 0


def meanwhile(monkeypatch: pytest.MonkeyPatch, change: Callable[[], object]) -> threading.Thread:
    """`change` begins in another connection when the batch has judged and has yet to write."""
    close = known_results._close

    def run() -> None:
        try:
            change()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)

    def close_later(pairs: Any) -> Any:
        thread.start()
        thread.join(0.3)
        return close(pairs)

    monkeypatch.setattr(known_results, "_close", close_later)
    return thread


def test_an_operation_that_changes_while_the_batch_judges_closes_nothing(
    shop: Shop, hooks: Hooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, body = a_sale(shop, hooks)
    hooks.deliver(body)
    late = meanwhile(monkeypatch, lambda: Operation.objects.update(status="REVERSED", revisions=1))
    closed, left = close_known(processing.QUEUE, most=10)
    late.join()
    assert (closed, left) == (0, [only_notification().id])
    assert only_notification().status == "stored"


def test_a_conflicting_copy_that_comes_while_the_batch_judges_causes_a_look_up(
    shop: Shop, hooks: Hooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, body = a_sale(shop, hooks)
    hooks.deliver(body)
    asked = len(shop.psp.calls(kind="look_up"))
    late = meanwhile(monkeypatch, lambda: hooks.deliver(body.replace(b"10000", b"99999")))
    assert close_known(processing.QUEUE, most=10) == (1, [])
    late.join()
    row = only_notification()
    assert (row.status, row.conflicting_body) == ("stored", True)
    processing.process_due_notifications()
    assert only_notification().status == "processed"
    assert len(shop.psp.calls(kind="look_up")) == asked + 1


def test_if_the_batch_fails_each_notification_is_looked_at_alone(
    shop: Shop, hooks: Hooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, body = a_sale(shop, hooks)
    hooks.deliver(body)
    monkeypatch.setattr(known_results, "_CLOSE", "SELECT 1 / 0")
    assert processing.process_due_notifications() == 1
    row = only_notification()
    assert (row.status, row.attempts) == ("processed", 1)


def test_many_notifications_cost_as_many_statements_as_one(shop: Shop, hooks: Hooks) -> None:
    for number in range(3):
        shop.order_id = f"order-{number}-{shop.merchant.id}"
        shop.create(10_000)
    for notice in hooks.receiver.wait_for(6):
        hooks.deliver(notice)
    before, asked = updates(), len(shop.psp.calls(kind="look_up"))
    with CaptureQueriesContext(connection) as queries:
        assert processing.process_due_notifications() == 6
    assert len(queries) <= STATEMENTS_PER_BATCH_MAX
    assert [str(each["sql"]) for each in queries].count("COMMIT") == 1
    assert updates() - before <= 6 * UPDATES_PER_NOTIFICATION_MAX
    with CaptureQueriesContext(connection) as queries:
        assert processing.process_due_notifications() == 0
    assert len(queries) <= 3, "nothing is due"
    assert len(shop.psp.calls(kind="look_up")) == asked


def updates() -> int:
    """How many row versions the updates of notifications have written so far."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()::text")
        cursor.execute(
            "SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = %s",
            [PspNotification._meta.db_table],
        )
        [(number,)] = cursor.fetchall()
    return int(number)
