"""Staff find a row by public id, order or key, and filters narrow a list."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib import admin
from django.db.models import Model
from unfold.paginator import InfinitePaginator

from ledger import admin as ledger_admin
from ledger.admin import AtAnySize, _parameter_of
from ledger.models import LedgerAccount, LedgerEntry, LedgerTransaction
from payments import public_ids
from payments.clock import now_utc
from payments.models import (
    ApiKey,
    Customer,
    Delivery,
    Dispute,
    Event,
    IdempotencyKey,
    Merchant,
    Operation,
    PaymentIntent,
    PaymentMethod,
    Refund,
)
from payments.tests.admin.console import Console, add_customer, sell
from payments.tests.support.listening import fan_out_all, open_endpoint
from payments.tests.support.shop import Shop, body_of

FOUND_BY: dict[type[Model], tuple[str, ...]] = {
    PaymentIntent: ("pi", "ch", "op", "re"),
    Operation: ("pi", "ch", "op", "re"),
    Refund: ("re", "pi", "ch", "op"),
    Dispute: ("dp", "pi", "ch"),
    Event: ("pi", "ch", "re", "evt"),
    PaymentMethod: ("pm", "pi"),
    IdempotencyKey: ("pi", "ch"),
    Customer: ("cus",),
    Merchant: ("acct",),
    ApiKey: ("acct",),
}
"""The prefixes of the public ids that find the rows of a table."""


def test_public_ids_find_their_rows_and_no_others(trading: Shop, superuser: Console) -> None:
    sell(trading, order_id="another order", key="another-key")
    add_customer(trading, email="bob@example.com")
    intent = PaymentIntent.objects.get(order_id=trading.order_id)
    refund = Refund.objects.get(intent=intent)
    dispute = Dispute.objects.get(intent=intent)
    first = {
        "pi": intent.public_id,
        "ch": public_ids.encode("ch", refund.charge_id),
        "op": refund.operation.public_id,
        "re": refund.public_id,
        "dp": dispute.public_id,
        "pm": intent.payment_method and intent.payment_method.public_id,
        "evt": Event.objects.filter(aggregateid=intent.id).earliest("id").public_id,
        "cus": Customer.objects.get(email="ada@example.com").public_id,
        "acct": trading.merchant.public_id,
    }
    for model, prefixes in FOUND_BY.items():
        for prefix in prefixes:
            found = superuser.shown(model, q=f" {first[prefix]} ").result_list
            assert found, (model, prefix)
            for row in found:
                assert _belongs(row, intent, trading), (model, prefix, row)
        for term in (public_ids.encode(prefixes[0], public_ids.new_id()), "nothing is called this"):
            assert not superuser.shown(model, q=term).result_list, (model, term)


def _belongs(row: Any, intent: PaymentIntent, shop: Shop) -> bool:
    match row:
        case PaymentIntent():
            return row.pk == intent.pk
        case Operation() | Refund() | Dispute() | IdempotencyKey():
            return row.intent_id == intent.pk
        case Event():
            return row.aggregateid == intent.pk
        case PaymentMethod():
            return row.pk == intent.payment_method_id
        case Customer():
            return row.email == "ada@example.com"
        case ApiKey():
            return row.merchant_id == shop.merchant.pk
    return bool(row == shop.merchant)


def test_payments_customers_and_books_are_found_by_what_the_psp_and_the_merchant_call_them(
    trading: Shop, superuser: Console
) -> None:
    sell(trading, order_id="another order", key="another-key")
    intent = PaymentIntent.objects.get(order_id=trading.order_id)
    charge = Operation.objects.get(intent=intent, kind="authorize")
    terms = (trading.order_id, "key-of-the-sale", intent.psp_reference, charge.psp_id)
    for term in terms:
        assert term
        found = superuser.shown(PaymentIntent, q=term).result_list
        assert list(found) == [intent], term

    bob = add_customer(trading, email="bob@example.com")
    assert list(superuser.list(Customer, q=bob.email).context["cl"].result_list) == [bob]

    for model in (LedgerTransaction, LedgerEntry):
        rows = superuser.shown(model, q=intent.public_id).result_list
        assert rows
        assert {row.payment_id for row in rows} == {intent.id}


def test_filters_narrow_a_list(shop: Shop, superuser: Console) -> None:
    assert shop.create(10_000).status == 200
    declined = body_of(
        shop.create(700, token="pm_card_chargeDeclined", order_id="d", currency="EUR")
    )["payment_intent"]["id"]
    today = now_utc().date().isoformat()
    for query, others in (
        ({"status": "FAILED"}, {"status": "CAPTURED"}),
        ({"currency": "EUR"}, {"currency": "KWD"}),
        ({"created_at_from": today, "status": "FAILED"}, {"created_at_from": "2099-01-01"}),
        ({"created_at_to": today, "status": "FAILED"}, {"created_at_to": "2001-01-01"}),
    ):
        found = superuser.list(PaymentIntent, **query).context["cl"].result_list
        assert [row.public_id for row in found] == [declined]
        others_found = superuser.list(PaymentIntent, **others).context["cl"].result_list
        assert declined not in [row.public_id for row in others_found]


def test_a_filter_that_no_index_serves_reads_the_first_rows_of_the_list_and_says_so(
    shop: Shop, superuser: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_admin, "FILTERED_ROWS_MAX", 2)
    shop.create(700, token="pm_card_chargeDeclined", order_id="declined")
    for number in range(3):
        shop.create(order_id=f"order {number}")
    said = b"Only the first 2 rows of this list were filtered"

    def found(**query: str) -> tuple[int, bool]:
        answer = superuser.list(PaymentIntent, **query)
        return len(answer.context["cl"].result_list), said in answer.content

    assert found(status="FAILED") == (0, True)
    assert found(status="CAPTURED") == (2, True)
    assert found(status="FAILED", q="declined") == (1, False)
    assert found(merchant__id__exact=str(shop.merchant.pk)) == (4, False)
    assert found(created_at_from="2020-01-01") == (4, False)
    assert found() == (4, False)
    monkeypatch.setattr(ledger_admin, "FILTERED_ROWS_MAX", 4)
    assert found(status="FAILED") == (1, False)


def test_no_list_counts_its_rows(database: None) -> None:
    for model, page in admin.site._registry.items():
        if model._meta.app_label in ("payments", "ledger", "reconciliation"):
            if model is LedgerAccount:
                continue  # They grow with merchants, not with payments.
            assert isinstance(page, AtAnySize), model
            assert page.paginator is InfinitePaginator
            assert page.show_facets is admin.ShowFacets.NEVER


def test_a_list_is_looked_up_by_its_filters_and_no_other_column(superuser: Console) -> None:
    """Else `?client_secret__startswith=` reads a column that no page shows, letter by letter."""
    for model, page in admin.site._registry.items():
        filters = {_parameter_of(each) for each in page.list_filter}
        for field in model._meta.concrete_fields:
            for look_up in (field.name, f"{field.name}__startswith", f"{field.name}__gt"):
                allowed = page.lookup_allowed(look_up, "a", None)
                assert not allowed or field.name in filters, f"{model._meta.label}: {look_up}"


@pytest.mark.parametrize("look_up", ["client_secret__startswith", "idempotency_key", "pk__gt"])
def test_a_look_up_of_a_hidden_column_is_refused(
    trading: Shop, superuser: Console, look_up: str
) -> None:
    answer = superuser.list(PaymentIntent, **{look_up: "a"})
    assert answer.status_code == 400


def test_deliveries_are_found_by_their_event_payment_and_endpoint(
    shop: Shop, superuser: Console
) -> None:
    endpoints = [open_endpoint(shop.merchant, "http://127.0.0.1:1/hook")[0] for _ in range(2)]
    for number in range(2):
        shop.create(order_id=f"order {number}")
    fan_out_all()
    payments = list(PaymentIntent.objects.order_by("pk"))
    [first, *_] = events = Event.objects.filter(aggregateid=payments[0].pk).order_by("-pk")
    found = {
        shown: list(superuser.list(Delivery, q=shown.public_id).context["cl"].result_list)
        for shown in (payments[0], first, endpoints[1])
    }
    assert {row.event_id for row in found[payments[0]]} == {event.pk for event in events}
    assert {row.endpoint_id for row in found[first]} == {each.pk for each in endpoints}
    assert {row.event_id for row in found[first]} == {first.pk}
    newest = [row.event_id for row in found[endpoints[1]]]
    assert newest == list(Event.objects.order_by("-pk").values_list("pk", flat=True))
    assert {row.endpoint_id for row in found[endpoints[1]]} == {endpoints[1].pk}
