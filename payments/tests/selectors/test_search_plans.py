"""Which index leads a search, on generated rows of one merchant among others."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.test.utils import CaptureQueriesContext

from payments import public_ids
from payments.selectors import search, search_reading
from payments.selectors.scope import Scope
from payments.selectors.search import Search, SearchPaging
from payments.selectors.search_conditions import Condition, condition_of
from payments.selectors.search_fields import CHARGE_FIELDS, CUSTOMER_FIELDS, INTENT_FIELDS
from payments.selectors.search_query import METADATA, Clause
from payments.tests.support.api_client import api_of
from payments.tests.support.shop import Shop, uuid_of

ROWS = 2_500
FIELDS = {"intents": INTENT_FIELDS, "charges": CHARGE_FIELDS, "customers": CUSTOMER_FIELDS}
METHOD_FIELDS = "{brand|exp_month|exp_year|fingerprint|last4}"
STATUSES: dict[str, list[str]] = {
    "intents": [
        *("requires_payment_method", "requires_confirmation", "requires_action"),
        *("requires_capture", "processing", "succeeded", "canceled"),
    ],
    "charges": ["succeeded", "failed", "pending"],
}
INDEXES = (
    *("intent_currency_amount", "intent_customer", "intent_metadata", "intent_canceled"),
    *("charge_own_currency_amount", "charge_closed_last4", "operation_due"),
    *("customer_email_any_case", "customer_name", "customer_phone", "customer_texts"),
    *("customer_metadata", "payments_deadline", "payments_dispute", "payments_refund"),
)
NOT_LED = {
    "intents": """-amount: -created: -customer:1017 metadata:null -metadata: -metadata:null
        status:requires_payment_method status:requires_confirmation status:succeeded -status:""",
    "charges": """-amount: -created: -customer:1017 metadata:null -metadata: -metadata:null
        status:succeeded -status:failed -status:pending disputed:false -disputed:true
        refunded:false -refunded:true billing_details. -billing_details.
        -payment_method_details. payment_method_details.card.last4:null""",
    "customers": """-created: metadata:null -metadata: -metadata:null
        -email: -email~ -name: -name~ -phone: -phone~""",
}
"""Beginnings of clauses that nearly every row matches, or that no index is kept for."""
OLD = 500
OLD_CUSTOMER = UUID(f"{1_764_000_000_007:012x}7003{7:8>16x}")
NOT_IN_ORDER = {
    "intents": """metadata:1017 -customer:null
        status:processing status:requires_action status:requires_capture""",
    "charges": """customer: -customer:null metadata:1017 status:pending -status:succeeded
        payment_method_details.card.last4:1017""",
    "customers": "metadata:1017 email name phone",
}
"""Beginnings of led clauses with no order: where they match many old rows, all rows are read."""
IN_ORDER = (
    *("intent_currency_amount_id", "intent_customer", "intent_canceled"),
    "charge_own_currency_amount_id",
    *("payments_refund", "refund_charge", "refund_newest", "payments_dispute", "dispute_newest"),
)
AGED = """
    SET session_replication_role = replica;
    UPDATE payments_payment_intent SET currency = 'KRW', amount_minor = 999000,
        customer_id = pg_temp.id_of(3, 7), status = 'CANCELED', published_status = '',
        canceled_at = created_at, amount_captured_minor = 0 WHERE id <= pg_temp.id_of(1, %(old)s);
    UPDATE payments_operation SET currency = 'KRW', amount_minor = 999000
        WHERE id <= pg_temp.id_of(2, %(old)s);
    RESET session_replication_role;"""
"""The oldest rows differ from all others."""
ID_OF = """
    CREATE FUNCTION pg_temp.id_of(kind int, n bigint) RETURNS uuid LANGUAGE sql RETURN
        (lpad(to_hex(1764000000000 + n), 12, '0') || '7' || lpad(kind::text, 3, '0')
         || lpad(to_hex(n), 16, '8'))::uuid;"""
GENERATE = f"""{ID_OF}
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
            'payment_method_details', jsonb_set(paid.payment_method_details, '{{card,last4}}',
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


@pytest.fixture
def aged(scope: Scope) -> Scope:
    """Of that merchant, after it stopped using a currency, a price and a customer."""
    with psycopg.connect(
        os.environ["DATABASE_OWNER_URL"], cursor_factory=psycopg.ClientCursor
    ) as owner:
        owner.execute(ID_OF + AGED, {"old": OLD})
        owner.execute("ANALYZE payments_payment_intent, payments_operation")
    return scope


def generate(rows: int, *, intent: UUID, customer: UUID) -> None:
    """Copies of a payment with its charge, and of a customer, as their owner makes them."""
    url = os.environ["DATABASE_OWNER_URL"]
    given = {"rows": rows, "intent": intent, "customer": customer}
    with psycopg.connect(url, cursor_factory=psycopg.ClientCursor) as owner:
        owner.execute(GENERATE, given)
        owner.execute("ANALYZE payments_payment_intent, payments_operation, payments_customer")


def kinds(kind: str, scope: Scope) -> Iterator[tuple[str, Condition]]:
    """Each kind of clause that the language has for these objects, and its condition."""
    fields = FIELDS[kind]
    values = {"status": STATUSES.get(kind, []), "disputed": ["true", "false"]}
    values["refunded"] = values["disputed"]
    for name, field in fields.items():
        key = "order_id" if name == METADATA else ""
        sample = name.replace("{type}", "card").replace(METHOD_FIELDS, "last4")
        for operator in field.operators:
            given: list[str | None] = [*values.get(name, ["1017"])]
            if field.absent is not None and operator == ":":
                given.append(None)
            for value in given:
                text = f"{sample}{operator}{value or 'null'}"
                clause = Clause(field=sample, key=key, operator=operator, value=value)
                yield text, condition_of(fields, scope, clause)
                yield f"-{text}", condition_of(fields, scope, replace(clause, negated=True))


def test_every_kind_of_search_is_led_by_an_index_or_known_not_to_be(scope: Scope) -> None:
    for kind in FIELDS:
        for text, condition in kinds(kind, scope):
            known = text.startswith(tuple(NOT_LED[kind].split()))
            led = bool(condition.leads.few) or condition.is_range_of_ids
            assert led is not known, (kind, text)
            for lead in condition.leads.few:
                plan = lead.ids[:2].explain()
                assert sum(index in plan for index in INDEXES) == 1, (kind, text, plan)
    for run, query, index, found in (
        (search.search_intents, 'metadata["order_id"]:"order-17"', "intent_metadata", 1),
        (search.search_intents, "amount:1017", "intent_currency_amount", 1),
        (search.search_intents, "amount>1016 amount<1018", "intent_currency_amount", 1),
        (search.search_charges, "amount:1017", "intent_currency_amount", 1),
        (search.search_charges, "payment_method_details.card.last4:7919", "charge_closed_last4", 1),
        (search.search_customers, 'email:"U17@example.com"', "customer_email_any_case", 1),
        (search.search_customers, 'email~"U17@"', "customer_texts", 1),
        (search.search_customers, 'metadata["crm"]:"c17"', "customer_metadata", 1),
    ):
        plans, rows = plans_of(run, scope, query)
        assert index in plans, (query, plans)
        assert rows == found, query


def plans_of(run: Search[object], scope: Scope, query: str) -> tuple[str, int]:
    """The plans of the statements of a search, and how many rows it found."""
    with CaptureQueriesContext(connection) as captured:
        page = run(scope, query, SearchPaging())
    statements = [q["sql"] for q in captured.captured_queries if q["sql"].startswith('SELECT "')]
    with connection.cursor() as cursor:
        plans = []
        for statement in statements:
            cursor.execute("EXPLAIN " + statement)
            plans += [row[0] for row in cursor.fetchall()]
    return "\n".join(plans), len(page.rows)


def plan_without_reading_all(rows: QuerySet[Any, Any]) -> str:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        return rows.explain()


def test_many_old_matches_and_no_new_one_are_read_in_the_order_of_an_index(
    aged: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in FIELDS:
        for text, condition in kinds(kind, aged):
            if condition.leads.few:
                known = text.startswith(tuple(NOT_IN_ORDER[kind].split()))
                assert bool(condition.leads.in_order) is not known, (kind, text)
            for lead in condition.leads.in_order:
                plan = plan_without_reading_all(lead.newest_ids(Q())[:50])
                assert any(index in plan for index in IN_ORDER), (kind, text, plan)
    for limit, most in {"NEWEST_MAX": 50, "SLICE_ROWS_MAX": 50, "LED_ROWS_MAX": 50}.items():
        monkeypatch.setattr(search_reading, limit, most)
    customer = public_ids.encode(public_ids.CUSTOMER, OLD_CUSTOMER)
    for run, query in (
        *product(
            (search.search_intents, search.search_charges), ('currency:"KRW"', "amount:999000")
        ),
        *product(
            (search.search_intents, search.search_charges), ('-currency:"USD"', "amount>99000")
        ),
        (search.search_intents, 'amount:999000 currency:"KRW" status:"canceled"'),
        (search.search_intents, 'status:"canceled"'),
        (search.search_intents, f'customer:"{customer}"'),
        (search.search_charges, 'refunded:"true"'),
    ):
        with CaptureQueriesContext(connection) as captured:
            page = run(aged, query, SearchPaging())
        assert (len(page.rows), page.next_page is None) == (10, False), query
        assert len(captured) < OLD // 50 * 4, (query, len(captured))
