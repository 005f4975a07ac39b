"""Which index leads a search, on generated rows of one merchant among others."""

from __future__ import annotations

import os
from uuid import UUID

import psycopg
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from payments.selectors import search
from payments.selectors.scope import Scope
from payments.selectors.search import Search, SearchPaging
from payments.tests.support.api_client import api_of
from payments.tests.support.shop import Shop, uuid_of

ROWS = 2_500
GENERATE = """
    CREATE FUNCTION pg_temp.id_of(kind int, n bigint) RETURNS uuid LANGUAGE sql RETURN
        (lpad(to_hex(1764000000000 + n), 12, '0') || '7' || lpad(kind::text, 3, '0')
         || lpad(to_hex(n), 16, '8'))::uuid;
    ALTER TABLE payments_payment_intent DISABLE TRIGGER USER;
    ALTER TABLE payments_operation DISABLE TRIGGER USER;
    INSERT INTO payments_payment_intent SELECT (made).* FROM (
        SELECT jsonb_populate_record(paid, jsonb_build_object(
            'id', pg_temp.id_of(1, n), 'latest_charge_id', pg_temp.id_of(2, n),
            'amount_minor', 1000 + n %% 5000, 'client_secret', n, 'psp_reference', n,
            'customer_id', pg_temp.id_of(3, n %% 2000),
            'metadata', jsonb_build_object('order_id', 'Order-' || n, 'shop', 'x' || n %% 2)
        )) AS made FROM payments_payment_intent paid, generate_series(1, %(rows)s) n
        WHERE paid.id = %(intent)s OFFSET 0) AS each;
    INSERT INTO payments_operation SELECT (made).* FROM (
        SELECT jsonb_populate_record(paid, jsonb_build_object(
            'id', pg_temp.id_of(2, n), 'intent_id', pg_temp.id_of(1, n),
            'amount_minor', 1000 + n %% 5000, 'psp_key', n, 'psp_id', n, 'psp_payment_id', n,
            'payment_method_details', jsonb_set(paid.payment_method_details, '{card,last4}',
                to_jsonb(lpad((n::bigint * 7919 %% 10000)::text, 4, '0')))
        )) AS made FROM payments_operation paid, generate_series(1, %(rows)s) n
        WHERE paid.intent_id = %(intent)s OFFSET 0) AS each;
    INSERT INTO payments_customer SELECT (made).* FROM (
        SELECT jsonb_populate_record(ann, jsonb_build_object(
            'id', pg_temp.id_of(3, n), 'email', 'u' || n || '@example.com', 'name', 'User ' || n,
            'phone', '+' || n, 'metadata', jsonb_build_object('crm', 'c' || n)
        )) AS made FROM payments_customer ann, generate_series(1, %(rows)s) n
        WHERE ann.id = %(customer)s OFFSET 0) AS each;
    ALTER TABLE payments_payment_intent ENABLE TRIGGER USER;
    ALTER TABLE payments_operation ENABLE TRIGGER USER;"""
"""PostgreSQL would make each record once for each of its columns, but for `OFFSET 0`."""


@pytest.fixture
def scope(shop: Shop) -> Scope:
    """Of a merchant with thousands of payments, charges and customers."""
    api = api_of(shop)
    customer = api.post("/v1/customers", name="Ann").body["id"]
    generate(ROWS, intent=uuid_of(api.pay(customer=customer)["id"]), customer=uuid_of(customer))
    return Scope(shop.merchant.id, livemode=False)


def generate(rows: int, *, intent: UUID, customer: UUID) -> None:
    """Copies of a payment with its charge, and of a customer, as their owner makes them."""
    url = os.environ["DATABASE_OWNER_URL"]
    given = {"rows": rows, "intent": intent, "customer": customer}
    with psycopg.connect(url, cursor_factory=psycopg.ClientCursor) as owner:
        owner.execute(GENERATE, given)
        owner.execute("ANALYZE payments_payment_intent, payments_operation, payments_customer")


def plan_of(run: Search[object], scope: Scope, query: str) -> tuple[str, int]:
    """The plan of the last statement of a search, and how many rows it found."""
    with CaptureQueriesContext(
        connection,
    ) as captured:
        page = run(scope, query, SearchPaging())
    statements = [q["sql"] for q in captured.captured_queries if q["sql"].startswith('SELECT "')]
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN " + statements[-1])
        return "\n".join(row[0] for row in cursor.fetchall()), len(page.rows)


def test_an_index_leads_each_kind_of_search(scope: Scope) -> None:
    for run, query, index, found in (
        (search.search_intents, 'metadata["order_id"]:"order-17"', "intent_metadata", 1),
        (search.search_intents, "amount:1017", "intent_amount", 1),
        (search.search_intents, 'status:"requires_capture"', "payments_deadline", 0),
        (search.search_intents, 'status:"canceled"', "intent_canceled", 0),
        (search.search_charges, "refunded:true", "intent_canceled", 0),
        (search.search_charges, 'status:"failed"', "charge_without_success_amount", 0),
        (search.search_charges, 'status:"pending"', "operation_due", 0),
        (search.search_charges, 'metadata["order_id"]:"order-17"', "intent_metadata", 1),
        (search.search_charges, "amount:1017", "intent_amount", 1),
        (search.search_charges, "payment_method_details.card.last4:7919", "charge_last4", 1),
        (search.search_charges, "disputed:true", "payments_dispute", 0),
        (search.search_customers, 'email:"U17@example.com"', "customer_email_any_case", 1),
        (search.search_customers, 'name:"user 17"', "customer_name", 1),
        (search.search_customers, 'phone:"+17"', "customer_phone", 1),
        (search.search_customers, 'metadata["crm"]:"c17"', "customer_metadata", 1),
    ):
        plan, rows = plan_of(run, scope, query)
        assert index in plan, (query, plan)
        assert rows == found, query
