"""A batch writes each row once, with the values that it has when the batch is executed."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ledger.database.statements import Batch
from payments import public_ids
from payments.models import Customer, Merchant
from payments.public_ids import created_at_of
from payments.tests.support.shop import Shop


def test_several_updates_of_a_row_become_one_with_its_last_values(shop: Shop) -> None:
    merchant = Merchant.objects.get(pk=shop.merchant.pk)
    batch = Batch()
    merchant.name, merchant.psp_wait_ms = "first", 1_000
    batch.update(merchant, ("name",))
    merchant.name = "second"
    batch.update(merchant, ("name", "psp_wait_ms"))
    merchant.order_guard = False
    batch.update(merchant, ("order_guard",))
    with CaptureQueriesContext(connection) as queries:
        batch.execute()
    [query] = queries.captured_queries
    assert query["sql"].count("UPDATE") == 1
    merchant.refresh_from_db()
    assert (merchant.name, merchant.psp_wait_ms, merchant.order_guard) == ("second", 1_000, False)


def test_two_copies_of_a_row_are_refused_and_nothing_is_written(shop: Shop) -> None:
    one, other = (Merchant.objects.get(pk=shop.merchant.pk) for _ in range(2))
    one.name, other.name = "one", "other"
    batch = Batch().update(one, ("name",))
    with pytest.raises(ValueError, match="two copies"):
        batch.update(other, ("name",))
    assert Merchant.objects.get(pk=one.pk).name == shop.merchant.name


def test_a_row_that_is_inserted_is_not_updated_by_the_same_statement(shop: Shop) -> None:
    identifier = public_ids.new_id()
    created_at = created_at_of(identifier)
    customer = Customer(
        id=identifier,
        merchant_id=shop.merchant.id,
        created_at=created_at,
        updated_at=created_at,
    )
    batch = Batch().insert(customer)
    with pytest.raises(ValueError, match="inserted by the same statement"):
        batch.update(customer, ("name",))
    assert not Customer.objects.exists()
