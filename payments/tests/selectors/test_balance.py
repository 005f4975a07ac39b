"""The balance, available and pending, is the sum of its balance transactions."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger import posting_rules as rules
from ledger.money import Money
from ledger.posting_rules import Parties, Posting
from ledger.services import post
from ledger.services import take_snapshot as take_snapshots
from payments import public_ids
from payments.api.authentication import forget_cached_keys
from payments.models import Merchant, books_of
from payments.objects.balance import balance_object, balance_transaction_object
from payments.selectors.balance import balance_of, page_of_balance_transactions
from payments.selectors.paging import Paging
from payments.selectors.scope import Scope
from payments.services.psp_gateway import accounts, references
from payments.tests.outcomes.test_external_operations_on_duplicate_charges import (
    act,
    duplicate_charge,
    sync,
)
from payments.tests.support.api_client import ApiClient, api_of
from payments.tests.support.factories import MerchantFactory
from payments.tests.support.late_outcomes import sync_as_notified
from payments.tests.support.shop import Shop, body_of
from paymentsite.tests.fixtures.matrix import examples

CURRENCIES = ("EUR", "JPY", "USD")
Trade = tuple[int, bool, str, str, int, int | None]
trades = st.tuples(
    st.integers(0, 1),  # whose
    st.booleans(),  # live or test
    st.sampled_from(CURRENCIES),
    st.sampled_from(["sale", "refund", "refund that fails", "reversed", "by hand"]),
    st.integers(1, 100_000),
    st.one_of(st.none(), st.integers(-3, 3)),  # days from now on which it is available
)


def today() -> date:
    return datetime.now(UTC).date()


def midnight(day: date) -> int:
    return int(datetime.combine(day, time(), UTC).timestamp())


def book(merchant: Merchant, postings: list[Posting], payment_id: UUID | None = None) -> list[Any]:
    with transaction.atomic():
        return post(
            postings,
            source_type="operation",
            source_id=public_ids.new_id(),
            payment_id=payment_id or public_ids.new_id(),
            merchant_id=merchant.id,
        )


def sale(trade: Trade, merchant: Merchant) -> list[Posting]:
    _, live, currency, _, minor, days = trade
    parties = Parties(psp_account="sandbox", merchant=books_of(merchant.id, livemode=live))
    available_on = None if days is None else today() + timedelta(days=days)
    postings = [rules.captured(parties, Money(minor, currency))]
    fee_minor = minor * 3 // 100
    if fee_minor:
        postings.append(rules.platform_fee(parties, Money(fee_minor, currency)))
    return [replace(posting, available_on=available_on) for posting in postings]


def make(trade: Trade, merchant: Merchant) -> None:
    _, live, currency, kind, minor, days = trade
    parties = Parties(psp_account="sandbox", merchant=books_of(merchant.id, livemode=live))
    amount = Money(minor, currency)
    available_on = None if days is None else today() + timedelta(days=days)
    requested = replace(rules.refund_requested(parties, amount), available_on=available_on)
    failed = replace(rules.refund_failed(parties, amount), available_on=available_on)
    if kind == "sale":
        book(merchant, sale(trade, merchant))
    elif kind == "refund":
        book(merchant, [requested])
    elif kind == "refund that fails":
        book(merchant, [requested])
        book(merchant, [failed])
    elif kind == "reversed":
        postings = sale(trade, merchant)
        payment_id = public_ids.new_id()
        ids = book(merchant, postings, payment_id)
        pairs = zip(postings, ids, strict=True)
        reversals = [rules.reversal_of(posting, reverses=id) for posting, id in pairs]
        book(merchant, reversals, payment_id)
    else:
        book(merchant, [rules.platform_fee(parties, amount)])


def every_row(scope: Scope, **filters: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    after = ""
    while True:
        paging = Paging(limit=7, starting_after=after)
        page = page_of_balance_transactions(scope, paging, **filters)
        rows += [balance_transaction_object(row) for row in page.rows]
        if not page.has_more:
            return rows
        after = rows[-1]["id"]


def nets(rows: list[dict[str, Any]], status: str) -> dict[str, int]:
    sums: dict[str, int] = defaultdict(int)
    for row in rows:
        assert row["net"] == row["amount"] - row["fee"]
        assert sum(detail["amount"] for detail in row["fee_details"]) == row["fee"]
        if row["status"] == status:
            sums[row["currency"]] += row["net"]
    return {currency: minor for currency, minor in sums.items() if minor}


def amounts(lines: list[dict[str, Any]]) -> dict[str, int]:
    return {line["currency"]: line["amount"] for line in lines if line["amount"]}


@pytest.mark.matrix(most=1)
@settings(
    max_examples=examples(8, whole=25),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(plan=st.lists(trades, min_size=1, max_size=25), snapshot_after=st.integers(0, 25))
@pytest.mark.alone
def test_the_nets_by_status_are_the_balance(
    database: None, plan: list[Trade], snapshot_after: int
) -> None:
    merchants = [MerchantFactory.create() for _ in range(2)]
    for number, trade in enumerate(plan):
        make(trade, merchants[trade[0]])
        if number == snapshot_after:
            take_snapshots(tail_entries_min=1)
    for merchant in merchants:
        for livemode in (False, True):
            scope = Scope(merchant.id, livemode)
            shown = balance_object(balance_of(scope), livemode=livemode)
            rows = every_row(scope)
            for status in ("available", "pending"):
                assert amounts(shown[status]) == nets(rows, status)


@pytest.mark.alone
@pytest.mark.usefixtures("really_closed")
def test_reading_the_balance_fetches_only_pending_rows(owner_cursor: psycopg.Cursor[Any]) -> None:
    """The database's own count of the rows that a reading fetches does not grow with history."""
    # Rows that other tests deleted would have a say in the plan.
    owner_cursor.execute("TRUNCATE ledger_entry, ledger_transaction, ledger_balance_snapshot")
    merchant = MerchantFactory.create()
    scope = Scope(merchant.id, False)
    pending: Trade = (0, False, "EUR", "sale", 1_000, 2)
    old: Trade = (0, False, "EUR", "sale", 1_000, -1)
    for _ in range(5):
        make(pending, merchant)
    few = _rows_fetched(scope)
    for _ in range(60):
        make(old, merchant)
    take_snapshots(tail_entries_min=1)
    assert _rows_fetched(scope) <= few
    assert balance_of(scope).pending == [Money(5 * 970, "EUR")]
    assert balance_of(scope).available == [Money(60 * 970, "EUR")]


def _rows_fetched(scope: Scope) -> int:
    connection.close()
    with connection.cursor() as cursor:
        # On tables this small the planner would rather read them whole.
        cursor.execute("SET enable_seqscan = off")
        cursor.execute("SET enable_bitmapscan = off")
        before = _tuples(cursor)
        balance_of(scope)
        after = _tuples(cursor)
    connection.close()
    return after - before


def _tuples(cursor: Any) -> int:
    cursor.execute("SELECT pg_stat_force_next_flush()")
    cursor.execute(
        "SELECT sum(coalesce(idx_tup_fetch, 0) + seq_tup_read) FROM pg_stat_user_tables "
        "WHERE relname IN ('ledger_entry', 'ledger_transaction')"
    )
    return int(cursor.fetchone()[0])


@pytest.fixture
def five_day_shop(shop: Shop) -> Shop:
    """Its PSP account pays out after five days."""
    shop.account.settlement_delay_days = 5
    shop.account.save(update_fields=["settlement_delay_days"])
    accounts.forget_accounts()
    forget_cached_keys()
    return shop


def test_a_sale_is_pending_for_the_days_of_its_psp_account(five_day_shop: Shop) -> None:
    api = api_of(five_day_shop)
    api.pay(10_000)
    [row] = api.get("/v1/balance_transactions").body["data"]
    assert (row["status"], row["available_on"]) == (
        "pending",
        midnight(today() + timedelta(days=5)),
    )
    balance = api.get("/v1/balance").body
    assert (amounts(balance["pending"]), amounts(balance["available"])) == ({"usd": 10_000}, {})


def test_a_changed_settlement_delay_does_not_affect_booked_sales(five_day_shop: Shop) -> None:
    api = api_of(five_day_shop)
    api.pay(10_000)
    five_day_shop.account.settlement_delay_days = 0
    five_day_shop.account.save(update_fields=["settlement_delay_days"])
    accounts.forget_accounts()
    forget_cached_keys()
    api.pay(300)
    statuses = [row["status"] for row in api.get("/v1/balance_transactions").body["data"]]
    assert statuses == ["available", "pending"]
    balance = api.get("/v1/balance").body
    assert amounts(balance["pending"]) == {"usd": 10_000}
    assert amounts(balance["available"]) == {"usd": 300}


@pytest.mark.parametrize("capture_method", ["automatic", "manual"])
def test_a_card_that_bypasses_pending_is_available_at_once(shop: Shop, capture_method: str) -> None:
    shop.merchant.platform_fee_basis_points = 250
    shop.merchant.save()
    api = api_of(shop)
    paid = api.pay(10_000, payment_method="pm_card_bypassPending", capture_method=capture_method)
    if capture_method == "manual":
        api.post(f"/v1/payment_intents/{paid['id']}/capture")
    balance = api.get("/v1/balance").body
    assert (amounts(balance["pending"]), amounts(balance["available"])) == ({}, {"usd": 9_750})
    [row] = api.get("/v1/balance_transactions").body["data"]
    assert (row["status"], row["available_on"]) == ("available", midnight(today()))


def test_a_refund_of_pending_money_is_pending_and_of_available_money_at_once(shop: Shop) -> None:
    api = api_of(shop)
    pending = api.pay(10_000)
    available = api.pay(7_000, payment_method="pm_card_bypassPending")
    for paid in (pending, available):
        api.post("/v1/refunds", payment_intent=paid["id"], amount=1_000)
    balance = api.get("/v1/balance").body
    assert amounts(balance["pending"]) == {"usd": 9_000}
    assert amounts(balance["available"]) == {"usd": 6_000}


def test_a_failed_refund_returns_its_amount_to_the_balance(shop: Shop) -> None:
    paid = body_of(shop.create(10_000, token="pm_card_refundFail"))
    shop.refund(paid["id"], 4_000)
    api = api_of(shop)
    before = api.get("/v1/balance").body
    assert amounts(before["pending"]) == {"usd": 6_000}
    [refund] = api.get("/v1/refunds").body["data"]
    assert refund["status"] == "succeeded"
    assert "failure_balance_transaction" not in refund

    shop.psp.advance(3)
    sync_as_notified(shop.operations(paid["id"])[-1])
    assert amounts(api.get("/v1/balance").body["pending"]) == {"usd": 10_000}
    rows = api.get("/v1/balance_transactions", source=refund["id"]).body["data"]
    assert [(row["type"], row["amount"]) for row in rows] == [
        ("refund_failure", 4_000),
        ("refund", -4_000),
    ]
    assert {row["status"] for row in rows} == {"pending"}
    assert {row["available_on"] for row in rows} == {midnight(today() + timedelta(days=2))}
    shown = api.get(
        f"/v1/refunds/{refund['id']}",
        expand=["failure_balance_transaction", "balance_transaction"],
    ).body
    assert shown["status"] == "failed"
    assert (shown["failure_balance_transaction"], shown["balance_transaction"]) == tuple(rows)


def test_a_reversed_sale_names_the_balance_transaction_of_its_reversal(shop: Shop) -> None:
    api = api_of(shop)
    paid = api.pay(10_000)
    [charge] = shop.operations(paid["id"])
    for to, status, fails in (
        ("fail", "failed", 1),
        ("succeed", "succeeded", 0),
        ("fail", "failed", 1),
    ):
        shop.psp.revise(references.reference_of(charge.id), to)
        sync_as_notified(charge)
        newest = api.get("/v1/balance_transactions", limit=1).body["data"][0]
        shown = api.get(f"/v1/charges/{charge.public_id}").body
        assert shown["status"] == status
        assert shown["failure_balance_transaction"] == (newest["id"] if fails else None)
        assert newest["type"] == ("payment_failure_refund" if fails else "charge")


def test_the_balance_transaction_of_a_duplicate_charge_names_that_charge(shop: Shop) -> None:
    _, charge, _ = duplicate_charge(shop, manual=True)
    act(shop, charge, "capture", amount_minor=4_000)
    sync(charge)
    [row] = api_of(shop).get("/v1/balance_transactions").body["data"]
    assert (row["amount"], row["source"]) == (4_000, charge.public_id)
    [found] = api_of(shop).get("/v1/balance_transactions", source=charge.public_id).body["data"]
    assert found == row


def test_a_reversal_shows_its_fee_and_is_available_with_the_original(
    database: None,
) -> None:
    merchant = MerchantFactory.create()
    scope = Scope(merchant.id, False)
    make((0, False, "EUR", "reversed", 10_000, 2), merchant)
    back, charge = every_row(scope)
    assert (back["type"], back["reporting_category"]) == (
        "payment_failure_refund",
        "charge_failure",
    )
    assert (back["amount"], back["fee"], back["net"]) == (-10_000, -300, -9_700)
    assert (charge["type"], charge["fee"], charge["net"]) == ("charge", 300, 9_700)
    assert back["available_on"] == charge["available_on"]
    assert {back["status"], charge["status"]} == {"pending"}


def test_a_posting_by_hand_is_an_adjustment(database: None) -> None:
    merchant = MerchantFactory.create()
    scope = Scope(merchant.id, True)
    make((0, True, "EUR", "by hand", 50, None), merchant)
    make((0, True, "EUR", "sale", 900, None), merchant)
    sale_row, adjustment = every_row(scope)
    assert (adjustment["type"], adjustment["reporting_category"]) == (
        "adjustment",
        "other_adjustment",
    )
    assert (adjustment["amount"], adjustment["fee"], adjustment["source"]) == (-50, 0, None)
    assert every_row(scope, transaction_type="adjustment") == [adjustment]
    assert every_row(scope, transaction_type="charge") == [sale_row]
    assert every_row(Scope(merchant.id, False)) == []


def test_rows_are_found_by_the_day_on_which_they_are_available(shop: Shop) -> None:
    api: ApiClient = api_of(shop)
    api.pay(700)
    api.pay(900, payment_method="pm_card_bypassPending")
    due = midnight(today() + timedelta(days=2))

    def found(**bounds: int) -> list[int]:
        reply = api.get("/v1/balance_transactions", available_on=bounds)
        return [row["amount"] for row in reply.body["data"]]

    assert found(gte=due) == [700]
    assert found(gt=due) == []
    assert found(lt=due) == [900]
    assert found(lte=due) == [900, 700]
    by_day = api.get("/v1/balance_transactions", available_on=due).body["data"]
    assert [row["amount"] for row in by_day] == [700]


def test_a_filter_by_payout_is_refused_with_its_reason(shop: Shop) -> None:
    error = api_of(shop).get("/v1/balance_transactions", payout="po_1").error
    assert error["code"] == "parameter_unknown"
    assert "settlement reports" in error["message"]
