"""Customers, payment methods, lists, events, the balance, expansion and metadata: Python SDK."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
import stripe

from payments.tests.http.support.storefront import Storefront


def test_a_customer_is_created_changed_listed_and_deleted(storefront: Storefront) -> None:
    customers = storefront.stripe.v1.customers
    created = customers.create(
        {
            "name": "Ann Lee",
            "email": "ann@example.com",
            "address": {"city": "Oslo", "country": "NO"},
            "metadata": {"tier": "gold", "since": "2020"},
        }
    )
    assert created.id.startswith("cus_")
    assert created.address is not None
    assert created.address.city == "Oslo"

    changed = customers.update(created.id, {"name": "Ann Li", "metadata": {"since": ""}})
    assert (changed.name, changed.email) == ("Ann Li", "ann@example.com")
    assert plain(changed.metadata) == {"tier": "gold"}
    assert plain(customers.retrieve(created.id)) == plain(changed)
    assert [c.id for c in customers.list({"email": "ann@example.com"}).data] == [created.id]

    assert plain(customers.delete(created.id)) == {
        "id": created.id,
        "object": "customer",
        "deleted": True,
    }
    assert customers.retrieve(created.id).deleted is True
    assert customers.list().data == []
    with pytest.raises(stripe.InvalidRequestError) as refused:
        customers.update(created.id, {"name": "Ann"})
    assert (refused.value.http_status, refused.value.code) == (404, "resource_missing")


def test_a_payment_method_is_made_of_a_token_attached_and_detached(storefront: Storefront) -> None:
    methods, customer = storefront.stripe.v1.payment_methods, a_customer(storefront)
    made = methods.create(
        {"type": "card", "card": {"token": "tok_visa"}, "billing_details": {"name": "Ann"}}  # type: ignore[typeddict-item]
    )
    assert made.card is not None
    assert (made.card.brand, made.card.last4, made.customer) == ("visa", "4242", None)

    attached = methods.attach(made.id, {"customer": customer})
    assert attached.customer == customer
    assert [m.id for m in methods.list({"customer": customer, "type": "card"}).data] == [made.id]
    of_customer = storefront.stripe.v1.customers.payment_methods.list(customer)
    assert [m.id for m in of_customer.data] == [made.id]
    paid = storefront.pay(payment_method=made.id, customer=customer)
    assert (paid.status, paid.customer, paid.payment_method) == ("succeeded", customer, made.id)

    updated = methods.update(made.id, {"metadata": {"nickname": "blue card"}})
    assert plain(updated.metadata) == {"nickname": "blue card"}
    assert plain(methods.retrieve(made.id)) == plain(updated)

    assert methods.detach(made.id).customer is None
    assert methods.list({"customer": customer}).data == []
    with pytest.raises(stripe.InvalidRequestError) as refused:
        methods.attach(made.id, {"customer": customer})
    assert refused.value.code == "payment_method_unexpected_state"


def test_the_method_of_another_customer_is_not_charged(storefront: Storefront) -> None:
    method = storefront.stripe.v1.payment_methods.attach(
        "pm_card_visa", {"customer": a_customer(storefront)}
    )

    with pytest.raises(stripe.InvalidRequestError) as refused:
        storefront.pay(payment_method=method.id, customer=a_customer(storefront))

    assert refused.value.code == "payment_method_customer_mismatch"
    assert storefront.effects() == []


def test_pages_follow_each_other_until_all_were_seen(storefront: Storefront) -> None:
    intents = storefront.stripe.v1.payment_intents
    made = [storefront.pay(confirm=None).id for _ in range(7)]
    newest_first = made[::-1]

    page = intents.list({"limit": 3})
    assert [intent.id for intent in page.data] == newest_first[:3]
    assert (page.has_more, page.url) == (True, "/v1/payment_intents")
    assert [i.id for i in intents.list({"limit": 3}).auto_paging_iter()] == newest_first
    before = intents.list({"ending_before": newest_first[3], "limit": 2})
    assert [i.id for i in before.data] == newest_first[1:3]
    assert [i.id for i in before.auto_paging_iter()] == newest_first[2::-1]
    last = intents.list({"starting_after": newest_first[4], "limit": 5})
    assert ([i.id for i in last.data], last.has_more) == (newest_first[5:], False)


def test_lists_are_filtered_by_their_time(storefront: Storefront) -> None:
    intents = storefront.stripe.v1.payment_intents
    made = storefront.pay(confirm=None)
    created = made.created

    def found(created_filter: Any) -> list[str]:
        return [i.id for i in intents.list({"created": created_filter}).data]

    assert found({"gte": created}) == found({"lte": created}) == found(created) == [made.id]
    assert found({"gt": created - 1, "lt": created + 1}) == [made.id]
    assert found({"gt": created}) == found({"lt": created}) == []
    assert found({"gte": int(time.time()) + 3_600}) == []


def test_metadata_is_merged_and_unset_and_other_details_too(storefront: Storefront) -> None:
    intents = storefront.stripe.v1.payment_intents
    made = storefront.pay(confirm=None, description="Two books", receipt_email="ann@example.com")
    order = {"order_id": storefront.order_id}

    added = intents.update(made.id, {"metadata": {"gift": "yes", "note": "blue"}})
    assert plain(added.metadata) == {**order, "gift": "yes", "note": "blue"}
    unset = intents.update(made.id, {"metadata": {"gift": ""}, "description": ""})
    assert plain(unset.metadata) == {**order, "note": "blue"}
    assert (unset.description, unset.receipt_email) == (None, "ann@example.com")
    cleared = intents.update(made.id, {"metadata": ""})
    assert plain(cleared.metadata) == {}


def test_ids_become_objects_where_the_merchant_asks(storefront: Storefront) -> None:
    customer = a_customer(storefront)
    expand = ["customer", "latest_charge.balance_transaction", "payment_method"]
    paid = storefront.pay(customer=customer, expand=expand)

    assert isinstance(paid.customer, stripe.Customer)
    assert isinstance(paid.payment_method, stripe.PaymentMethod)
    assert isinstance(paid.latest_charge, stripe.Charge)
    assert isinstance(paid.latest_charge.balance_transaction, stripe.BalanceTransaction)
    assert paid.latest_charge.balance_transaction.amount == 10_000
    again = storefront.stripe.v1.payment_intents.retrieve(paid.id, {"expand": expand})
    assert plain(again) == plain(paid)
    listed = storefront.stripe.v1.payment_intents.list({"expand": ["data.latest_charge"]})
    assert isinstance(listed.data[0].latest_charge, stripe.Charge)
    storefront.stripe.v1.refunds.create({"payment_intent": paid.id, "amount": 100})
    charge = storefront.stripe.v1.charges.retrieve(paid.latest_charge.id, {"expand": ["refunds"]})
    assert charge.refunds is not None
    assert [refund.amount for refund in charge.refunds.data] == [100]


def test_every_step_of_a_payment_is_an_event(storefront: Storefront) -> None:
    held = storefront.pay(capture_method="manual")
    captured = storefront.stripe.v1.payment_intents.capture(
        held.id, options={"idempotency_key": f"capture-{held.id}"}
    )
    storefront.stripe.v1.refunds.create({"payment_intent": held.id, "amount": 100})
    events = storefront.stripe.v1.events

    oldest_first = [event.type for event in events.list({"limit": 100}).data][::-1]
    assert oldest_first[:3] == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.amount_capturable_updated",
    ]
    assert set(oldest_first[3:]) >= {
        "charge.captured",
        "payment_intent.succeeded",
        "refund.created",
        "charge.refunded",
    }
    of_intent = events.list({"type": "payment_intent.*"}).data
    assert {event.type.split(".")[0] for event in of_intent} == {"payment_intent"}
    both = events.list({"types": ["charge.captured", "refund.created"]}).data
    assert sorted(event.type for event in both) == ["charge.captured", "refund.created"]
    [succeeded] = events.list({"type": "payment_intent.succeeded"}).data
    assert plain(events.retrieve(succeeded.id)) == plain(succeeded)
    assert plain(succeeded.data.object) == plain(captured)
    assert succeeded.request is not None
    assert succeeded.request.idempotency_key == f"capture-{held.id}"
    assert captured.last_response is not None
    assert succeeded.request.id == captured.last_response.headers["Request-Id"]


def test_the_balance_and_its_transactions_account_for_every_movement(
    open_storefront: Callable[..., Storefront],
) -> None:
    storefront = open_storefront(platform_fee_basis_points=250)
    paid = storefront.pay(expand=["latest_charge"])
    refund = storefront.stripe.v1.refunds.create({"payment_intent": paid.id, "amount": 4_000})
    transactions = storefront.stripe.v1.balance_transactions

    listed = list(transactions.list({"limit": 1}).auto_paging_iter())
    assert [(t.type, t.amount, t.fee, t.net) for t in listed] == [
        ("refund", -4_000, 0, -4_000),
        ("charge", 10_000, 250, 9_750),
    ]
    assert [t.source for t in listed] == [refund.id, charge_of(paid).id]
    assert refund.balance_transaction == listed[0].id
    assert charge_of(paid).balance_transaction == listed[1].id
    assert plain(transactions.retrieve(listed[1].id)) == plain(listed[1])
    assert [t.id for t in transactions.list({"type": "refund"}).data] == [listed[0].id]
    balance = storefront.stripe.v1.balance.retrieve()
    assert [(line.amount, line.currency) for line in balance.pending] == [(5_750, "usd")]


def a_customer(storefront: Storefront) -> str:
    return storefront.stripe.v1.customers.create({"name": "Ann Lee"}).id


def charge_of(intent: stripe.PaymentIntent) -> stripe.Charge:
    assert isinstance(intent.latest_charge, stripe.Charge)
    return intent.latest_charge


def plain(shown: Any) -> Any:
    """What the SDK was given, without its classes."""
    return shown.to_dict() if isinstance(shown, stripe.StripeObject) else shown


def test_a_search_is_paged_through(storefront: Storefront) -> None:
    customers = storefront.stripe.v1.customers
    made = [customers.create({"name": f"Ann {n}", "metadata": {"team": "A"}}) for n in range(3)]
    wanted: stripe.params.CustomerSearchParams = {"query": 'metadata["team"]:"a"', "limit": 2}
    first = customers.search({**wanted, "expand": ["total_count"]})
    assert (first.has_more, first.total_count, len(first.data)) == (True, 3, 2)
    found = [row.id for row in customers.search(wanted).auto_paging_iter()]
    assert found == [row.id for row in made[::-1]]
    with pytest.raises(stripe.InvalidRequestError) as refused:
        customers.search({"query": "team:A"})
    assert refused.value.param == "query"
