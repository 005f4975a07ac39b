"""The console shows every table of payments and of the books, and changes none of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from payments import public_ids
from payments.models import (
    ApiKey,
    Customer,
    Event,
    IdempotencyKey,
    Merchant,
    Operation,
    PaymentIntent,
    PaymentMethod,
    PspAccount,
    Refund,
)
from payments.services.events import now_utc
from payments.tests.shop import Shop, body_of

MODELS = [
    model
    for app in ("payments", "ledger")
    for model in apps.get_app_config(app).get_models(include_auto_created=True)
]
SECRET_SHA256 = hashlib.sha256(b"sk_test_the_key_itself").hexdigest()


def names(model: type[Model]) -> str:
    return model._meta.model_name or ""


@dataclass
class Console:
    """A person who is logged in, with the addresses of a model's pages."""

    client: Client

    def list(self, model: type[Model], **query: str) -> Any:
        return self.client.get(_url(model, "changelist"), query)

    def page(self, row: Model) -> Any:
        return self.client.get(_url(type(row), "change", row.pk))


def _url(model: type[Model], view: str, *arguments: Any) -> str:
    label = f"{model._meta.app_label}_{model._meta.model_name}"
    return reverse(f"admin:{label}_{view}", args=arguments)


def _console(**person: Any) -> Console:
    user = User.objects.create_user("somebody", is_staff=True, **person)
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return Console(client)


@pytest.fixture
def trading(shop: Shop) -> Shop:
    """A shop with at least one row in every table of payments and of the books."""
    _add_customer(shop, email="ada@example.com")
    ApiKey.objects.create(merchant=shop.merchant, secret_sha256=SECRET_SHA256, last4="tsel")
    _sell(shop, order_id=shop.order_id, key="key-of-the-sale")
    from ledger.models import BalanceSnapshot, LedgerAccount

    BalanceSnapshot.objects.create(
        account=LedgerAccount.objects.first(),
        horizon=1,
        debits_minor=0,
        credits_minor=0,
        taken_at=now_utc(),
    )
    return shop


def _sell(shop: Shop, *, order_id: str, key: str) -> str:
    """A payment that was partly refunded; its public id."""
    answer = shop.create(10_000, order_id=order_id, caller=shop.caller(key, {"order": order_id}))
    assert answer.status == 200, answer.body
    identifier: str = body_of(answer)["id"]
    assert shop.refund(identifier, 2_500).status == 200
    return identifier


def _add_customer(shop: Shop, *, email: str) -> Customer:
    now = now_utc()
    identifier = public_ids.new_id()
    return Customer.objects.create(
        id=identifier,
        merchant=shop.merchant,
        livemode=False,
        email=email,
        metadata={"note": "<script>alert(1)</script>"},
        created_at=now,
        updated_at=now,
    )


@pytest.fixture
def superuser(database: None) -> Iterator[Console]:
    return _console(is_superuser=True)


def _everything() -> dict[str, Any]:
    """Every row of every table that a page could write."""
    return {
        model._meta.label: list(model._default_manager.order_by("pk").values_list())
        for model in [*MODELS, User, Group]
        if model is not User
    } | {"people": list(User.objects.order_by("pk").values_list("pk", "is_superuser", "password"))}


def test_every_table_is_registered() -> None:
    missing = [model._meta.label for model in MODELS if not admin.site.is_registered(model)]
    assert not missing


def test_the_index_and_the_login_page_work(superuser: Console) -> None:
    index = superuser.client.get(reverse("admin:index"))
    assert index.status_code == 200
    for title in ("Payment intents", "Customers", "Books", "Events", "Access"):
        assert title in index.content.decode()
    assert Client().get(reverse("admin:login")).status_code == 200


def test_everything_can_be_listed_and_read(trading: Shop, superuser: Console) -> None:
    for model in MODELS:
        row = model._default_manager.first()
        assert row is not None, f"the fixture leaves {model.__name__} empty"
        listed = superuser.list(model)
        assert listed.status_code == 200, model.__name__
        assert _url(model, "change", row.pk) in listed.content.decode(), model.__name__
        page = superuser.page(row)
        assert page.status_code == 200, model.__name__
        assert 'name="_save"' not in page.content.decode(), model.__name__
        if hasattr(row, "public_id"):
            title = page.content.decode().split("</title>")[0]
            assert row.public_id in title, model.__name__


def test_nothing_can_be_added_changed_or_deleted(trading: Shop, superuser: Console) -> None:
    before = _everything()
    for model in MODELS:
        row = model._default_manager.first()
        assert row is not None, f"the fixture leaves {model.__name__} empty"
        values = {field.name: "1" for field in model._meta.concrete_fields}
        for url in (
            _url(model, "add"),
            _url(model, "change", row.pk),
            _url(model, "delete", row.pk),
        ):
            assert superuser.client.post(url, {**values, "post": "yes"}).status_code == 403, url
        superuser.client.post(
            _url(model, "changelist"),
            {"action": "delete_selected", "_selected_action": [str(row.pk)], "post": "yes"},
        )
        assert not admin.site._registry[model].get_actions(_request(superuser)), model.__name__
    assert _everything() == before


def _request(console: Console) -> Any:
    return console.list(PaymentIntent).wsgi_request


@pytest.mark.parametrize(
    "model, prefixes",
    [
        (PaymentIntent, ("pi", "ch", "op", "re")),
        (Operation, ("pi", "ch", "op", "re")),
        (Refund, ("re", "pi", "ch", "op")),
        (Event, ("pi", "ch", "re", "evt")),
        (PaymentMethod, ("pm", "pi")),
        (IdempotencyKey, ("pi", "ch")),
        (Customer, ("cus",)),
        (Merchant, ("acct",)),
        (ApiKey, ("acct",)),
    ],
    ids=lambda value: names(value) if isinstance(value, type) else "",
)
def test_public_ids_find_their_rows_and_no_others(
    model: type[Model], prefixes: tuple[str, ...], trading: Shop, superuser: Console
) -> None:
    _sell(trading, order_id="another order", key="another-key")
    _add_customer(trading, email="bob@example.com")
    intent = PaymentIntent.objects.get(order_id=trading.order_id)
    refund = Refund.objects.get(intent=intent)
    first = {
        "pi": intent.public_id,
        "ch": public_ids.encode("ch", refund.charge_id),
        "op": refund.operation.public_id,
        "re": refund.public_id,
        "pm": intent.payment_method and intent.payment_method.public_id,
        "evt": Event.objects.filter(aggregateid=intent.id).earliest("id").public_id,
        "cus": Customer.objects.get(email="ada@example.com").public_id,
        "acct": trading.merchant.public_id,
    }
    for prefix in prefixes:
        found = superuser.list(model, q=f" {first[prefix]} ").context["cl"].result_list
        assert found, prefix
        for row in found:
            assert _belongs(row, intent, trading), (prefix, row)
    unknown = public_ids.encode(prefixes[0], public_ids.new_id())
    assert not superuser.list(model, q=unknown).context["cl"].result_list
    assert not superuser.list(model, q="nothing is called this").context["cl"].result_list


def _belongs(row: Any, intent: PaymentIntent, shop: Shop) -> bool:
    match row:
        case PaymentIntent():
            return row.pk == intent.pk
        case Operation() | Refund() | IdempotencyKey():
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


@pytest.mark.parametrize("what", ["order", "key", "psp_reference", "psp_operation"])
def test_a_payment_is_found_by_what_others_call_it(
    what: str, trading: Shop, superuser: Console
) -> None:
    _sell(trading, order_id="another order", key="another-key")
    intent = PaymentIntent.objects.get(order_id=trading.order_id)
    charge = Operation.objects.get(intent=intent, kind="authorize")
    term = {
        "order": trading.order_id,
        "key": "key-of-the-sale",
        "psp_reference": intent.psp_reference,
        "psp_operation": charge.psp_id,
    }[what]
    assert term
    assert list(superuser.list(PaymentIntent, q=term).context["cl"].result_list) == [intent]


def test_a_customer_is_found_by_email(trading: Shop, superuser: Console) -> None:
    bob = _add_customer(trading, email="bob@example.com")
    assert list(superuser.list(Customer, q=bob.email).context["cl"].result_list) == [bob]


def test_the_books_are_found_by_the_public_id_of_a_payment(
    trading: Shop, superuser: Console
) -> None:
    from ledger.models import LedgerEntry, LedgerTransaction

    _sell(trading, order_id="another order", key="another-key")
    intent = PaymentIntent.objects.get(order_id=trading.order_id)
    for model in (LedgerTransaction, LedgerEntry):
        rows = superuser.list(model, q=intent.public_id).context["cl"].result_list
        assert rows
        assert {row.payment_id for row in rows} == {intent.id}


def test_filters_narrow_a_list(trading: Shop, superuser: Console) -> None:
    declined = body_of(
        trading.create(700, token="pm_card_chargeDeclined", order_id="d", currency="EUR")
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


def test_the_page_of_a_payment_tells_its_story(trading: Shop, superuser: Console) -> None:
    intent = PaymentIntent.objects.get(order_id=trading.order_id)
    page = superuser.page(intent).content.decode()
    assert "100.00 USD" in page
    for operation in Operation.objects.filter(intent=intent):
        assert operation.public_id in page
    for refund in Refund.objects.filter(intent=intent):
        assert refund.public_id in page
    for event in Event.objects.filter(aggregateid=intent.id):
        assert event.public_id in page
    assert "Ledger entries" in page
    assert "1100 psp receivable" in page


def test_secrets_are_shown_nowhere(trading: Shop, superuser: Console) -> None:
    intents = PaymentIntent.objects.all()
    secrets = {intent.client_secret for intent in intents} | {SECRET_SHA256, "pm_card_visa"}
    assert all(secrets)
    shown = 0
    for model in MODELS:
        for row in model._default_manager.all():
            page = superuser.page(row).content.decode()
            shown += 1
            for secret in secrets:
                assert secret not in page, f"{model.__name__} shows a secret"
    assert shown > len(MODELS)


def test_what_merchants_write_is_escaped(trading: Shop, superuser: Console) -> None:
    page = superuser.page(Customer.objects.get()).content.decode()
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert(1)" not in page


def test_a_list_asks_as_much_for_many_rows_as_for_few(trading: Shop, superuser: Console) -> None:
    for model in MODELS:
        superuser.list(model)  # what is remembered after the first time is no part of the count
    few = {model: (_rows(model), _queries(superuser, model)) for model in MODELS}
    for number in range(3):
        _sell(trading, order_id=f"more-{number}", key=f"more-{number}")
        _add_customer(trading, email=f"more-{number}@example.com")
        account = PspAccount.objects.create(code=f"more-{number}", psp="sandbox")
        other = Merchant.objects.create(name=f"More {number}", test_psp_account=account)
        ApiKey.objects.create(merchant=other, secret_sha256=f"{number}", last4="more")
    for model, (rows, queries) in few.items():
        assert len(_queries(superuser, model)) == len(queries), (model, queries)
        grown = _rows(model) > rows
        assert grown or model.__name__ in ("LedgerAccount", "BalanceSnapshot"), model.__name__


def _rows(model: type[Model]) -> int:
    return model._default_manager.count()


def _queries(console: Console, model: type[Model]) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        console.list(model)
    return [query["sql"] for query in captured.captured_queries]


def test_the_page_of_a_payment_asks_as_much_for_a_long_story(
    trading: Shop, superuser: Console
) -> None:
    intent = PaymentIntent.objects.get(order_id=trading.order_id)
    superuser.page(intent)
    with CaptureQueriesContext(connection) as short:
        superuser.page(intent)
    for _ in range(4):
        trading.refund(intent.public_id, 100)
    with CaptureQueriesContext(connection) as long:
        superuser.page(intent)
    assert len(long) == len(short), [query["sql"] for query in long.captured_queries]


def test_a_role_sees_what_it_may_and_no_more(trading: Shop) -> None:
    role = Group.objects.create(name="refund clerks")
    role.permissions.add(
        *Permission.objects.filter(codename__in=["view_paymentintent", "view_refund"])
    )
    console = _console()
    User.objects.get(username="somebody").groups.add(role)
    intent = PaymentIntent.objects.get(order_id=trading.order_id)
    index = console.client.get(reverse("admin:index")).content.decode()
    assert "Payment intents" in index
    assert "API keys" not in index
    page = console.page(intent).content.decode()
    assert Refund.objects.get(intent=intent).public_id in page
    assert "Ledger entries" not in page
    assert "Timeline" not in page
    for model in MODELS:
        expected = 200 if model in (PaymentIntent, Refund) else 403
        assert console.list(model).status_code == expected, model.__name__


def test_only_a_superuser_changes_people(trading: Shop) -> None:
    console = _console()
    somebody = User.objects.get(username="somebody")
    somebody.user_permissions.add(*Permission.objects.filter(content_type__app_label="auth"))
    before = _everything()
    assert console.list(User).status_code == 200
    for model, row in ((User, somebody), (Group, Group.objects.create(name="a role"))):
        data = {"username": "me", "name": "mine", "is_superuser": "on", "post": "yes"}
        for url in (
            _url(model, "add"),
            _url(model, "change", row.pk),
            _url(model, "delete", row.pk),
        ):
            assert console.client.post(url, data).status_code == 403, url
    Group.objects.get(name="a role").delete()
    assert _everything() == before


def test_strangers_see_the_login_page_only(trading: Shop) -> None:
    for model in MODELS:
        answer = Client().get(_url(model, "changelist"))
        assert answer.status_code == 302
        assert reverse("admin:login") in answer["Location"]
