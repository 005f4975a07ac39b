"""Selectors: creation times as ids, cursors, scopes."""

from __future__ import annotations

from uuid import UUID

import pytest
from django.db import connection, transaction

from payments import public_ids
from payments.exceptions import ResourceMissing
from payments.models import Customer
from payments.models.event import FREQUENT_TYPES
from payments.public_ids import created_at_of
from payments.selectors.customers import customers, page_of_customers
from payments.selectors.events import events
from payments.selectors.paging import Paging, created_bounds
from payments.selectors.scope import CUSTOMER, PAYMENT_METHOD, Scope, one_of, refuse_missing
from payments.tests.support.factories import MerchantFactory


@pytest.fixture
def scope(database: None) -> Scope:
    return Scope(MerchantFactory.create().id, False)


def customer_of_second(scope: Scope, second: int, offset_ms: int = 0) -> Customer:
    """A customer made in a given millisecond of the past."""
    first = public_ids.first_id_of_second(second).int + (offset_ms << 80)
    identifier = UUID(int=first + 7)
    return Customer.objects.create(
        id=identifier,
        merchant_id=scope.merchant_id,
        livemode=scope.livemode,
        created_at=created_at_of(identifier),
        updated_at=created_at_of(identifier),
    )


@pytest.mark.parametrize(
    ("created", "seconds"),
    [
        ({"gte": 1_001}, [1_002, 1_001]),
        ({"gt": 1_001}, [1_002]),
        ({"lte": 1_001}, [1_001, 1_000]),
        ({"lt": 1_001}, [1_000]),
        ({"gte": 1_001, "lte": 1_001}, [1_001]),
        ({"gt": 1_000, "lt": 1_001}, []),
        ({"gte": 0, "gt": 1_001}, [1_002]),
        ({"lte": 1 << 60}, [1_002, 1_001, 1_000]),
        ({"gte": 1 << 60}, []),
    ],
)
def test_a_range_of_seconds_takes_whole_seconds(
    scope: Scope, created: dict[str, int], seconds: list[int]
) -> None:
    rows = {
        customer_of_second(scope, 1_000, 999).id: 1_000,
        customer_of_second(scope, 1_001).id: 1_001,
        customer_of_second(scope, 1_002, 1).id: 1_002,
    }
    page = page_of_customers(scope, Paging(created=created))
    assert [rows[row.id] for row in page.rows] == seconds


def test_no_range_has_no_bounds() -> None:
    assert created_bounds({}) == (None, None)


def test_cursor_and_range_narrow_each_other(scope: Scope) -> None:
    made = [customer_of_second(scope, second) for second in (1_000, 1_001, 1_002, 1_003)]
    page = page_of_customers(
        scope, Paging(limit=1, starting_after=made[3].public_id, created={"gte": 1_001})
    )
    assert ([row.id for row in page.rows], page.has_more) == ([made[2].id], True)


def test_a_cursor_may_name_a_row_that_the_filter_hides(scope: Scope) -> None:
    hidden = customer_of_second(scope, 1_001)
    older = customer_of_second(scope, 1_000)
    Customer.objects.filter(pk=hidden.pk).update(deleted_at=hidden.created_at)
    page = page_of_customers(scope, Paging(starting_after=hidden.public_id))
    assert [row.id for row in page.rows] == [older.id]


def test_rows_of_others_and_of_the_other_mode_are_as_missing_as_none(scope: Scope) -> None:
    mine = customer_of_second(scope, 1_000)
    elsewhere = (Scope(scope.merchant_id, True), Scope(MerchantFactory.create().id, False))
    messages = set()
    for other in elsewhere:
        assert page_of_customers(other, Paging()).rows == []
        with pytest.raises(ResourceMissing) as refusal:
            one_of(customers(other), CUSTOMER, mine.public_id)
        messages.add((refusal.value.message, refusal.value.param))
        with pytest.raises(ResourceMissing):
            page_of_customers(other, Paging(starting_after=mine.public_id))
    assert messages == {(f"No such customer: '{mine.public_id}'", "id")}


@pytest.mark.parametrize(
    "public_id", ["", "cus_", "cus_x", "pi_" + "A" * 22, "cus_" + "9" * 22, "cus_" + "A" * 21 + "é"]
)
def test_a_malformed_id_is_missing(scope: Scope, public_id: str) -> None:
    with pytest.raises(ResourceMissing):
        one_of(customers(scope), CUSTOMER, public_id)


@pytest.mark.parametrize("text", ["<script>", "pm_" + "x" * 100, "a b", "no-id", "pm_\n"])
def test_a_text_unlike_an_id_is_not_repeated(text: str) -> None:
    with pytest.raises(ResourceMissing) as refusal:
        refuse_missing(PAYMENT_METHOD, text)
    assert refusal.value.message == "No such PaymentMethod"


def test_a_list_of_events_is_led_by_a_rare_type_and_reads_the_newest_of_a_frequent_one(
    scope: Scope,
) -> None:
    plans = []
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        for type_ in ("refund.created", FREQUENT_TYPES[0]):
            plans.append(events(scope).filter(type=type_).order_by("-pk")[:9].explain())
    rare, frequent = plans
    assert "Backward using event_of_rare_type" in rare, rare
    assert "event_of_rare_type" not in frequent, frequent
    assert "Sort" not in frequent, frequent
