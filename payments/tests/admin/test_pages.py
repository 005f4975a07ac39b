"""The console shows every table of payments and of the books, and changes none of them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.db.models import Model, QuerySet
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from unfold.templatetags.unfold_list import results

from ledger.models import LedgerEntry
from payments.admin import display
from payments.admin.navigation import sidebar
from payments.models import (
    ApiKey,
    Case,
    CheckoutSession,
    Customer,
    Event,
    Merchant,
    Operation,
    PaymentIntent,
    PaymentLink,
    PspAccount,
    PspNotification,
    Refund,
    RoutingRule,
    WebhookEndpoint,
)
from payments.sealing import open_sealed
from payments.tests.admin.console import (
    MODELS,
    SECRET_SHA256,
    Console,
    add_customer,
    everything,
    listen_in_vain,
    log_in,
    sell,
    settle,
    url_of,
)
from payments.tests.support.factories import credentials_of
from payments.tests.support.notices import store_notice
from payments.tests.support.shop import Shop
from paymentsite.tests.fixtures.matrix import examples, spread


def test_every_table_is_registered() -> None:
    missing = [model._meta.label for model in MODELS if not admin.site.is_registered(model)]
    assert not missing


def test_the_index_and_the_login_page_work(superuser: Console) -> None:
    index = superuser.client.get(reverse("admin:index"))
    assert index.status_code == 200
    for title in ("Payment intents", "Customers", "Books", "Events", "Access"):
        assert title in index.content.decode()
    assert Client().get(reverse("admin:login")).status_code == 200


@pytest.mark.matrix(most=1)
def test_everything_can_be_read_without_a_raw_id_or_a_secret(
    trading: Shop, superuser: Console, owner_cursor: Any
) -> None:
    """One walk through every list and the page of a row; `make matrix` opens every row."""
    pages = examples(1, whole=10_000)
    key = ApiKey.objects.get()
    owner_cursor.execute("UPDATE payments_operation SET actor = %s", [f"api_key:{key.pk}"])
    secrets = _secrets()
    for model in MODELS:
        rows = list(_listed(model))
        assert rows, f"the fixture leaves {model.__name__} empty"
        listed = superuser.list(model)
        assert listed.status_code == 200, model.__name__
        assert _linked_from_the_list(rows[-1]) in listed.content.decode(), model.__name__
        _require_no_raw_id(model, listed.content.decode())
        for row in (*rows[: pages - 1], *rows[pages - 1 :][-1:]):  # the last is always among them
            page = superuser.page(_shown(row))
            assert page.status_code == 200, model.__name__
            text = page.content.decode()
            assert 'name="_save"' not in text, model.__name__
            if hasattr(row, "public_id"):
                assert row.public_id in text.split("</title>")[0], model.__name__
            _require_no_raw_id(model, text)
            for secret in secrets:
                assert secret not in text, f"{model.__name__} shows a secret"


def _linked_from_the_list(row: Model) -> str:
    shown = _shown(row)
    return url_of(type(shown), "change", shown.pk)


def _shown(row: Model) -> Model:
    """What the page of a row shows; of an entry of the books, its transaction."""
    shown: Model = row.transaction if isinstance(row, LedgerEntry) else row
    return shown


def _listed(model: type[Model]) -> QuerySet[Any]:
    """The rows that the console shows of a model, oldest first."""
    rows: QuerySet[Any] = admin.site._registry[model].get_queryset(RequestFactory().get("/admin/"))
    return rows.order_by("pk")


def _secrets() -> set[str]:
    secrets = {intent.client_secret for intent in PaymentIntent.objects.all()}
    for endpoint in WebhookEndpoint.objects.all():
        secrets |= {endpoint.sealed_secret, open_sealed(endpoint.sealed_secret)}
    for account in PspAccount.objects.exclude(sealed_credentials=""):
        secrets |= {account.sealed_credentials, credentials_of(account)["api_key"]}
    for model in (CheckoutSession, PaymentLink):
        secrets |= set(model.objects.values_list("token", flat=True))
    secrets |= {SECRET_SHA256, "pm_card_visa", "of-the-merchant"}
    assert all(secrets)
    return secrets


def _require_no_raw_id(model: type[Model], page: str) -> None:
    """The books know neither payments nor merchants, so their pages cannot link to them."""
    if model._meta.app_label != "ledger":
        text = re.sub(r"<[^>]*>", " ", page)
        assert not re.search(r"\b[0-9a-f]{8}-[0-9a-f]{4}-7", text), model.__name__


def test_nothing_can_be_added_changed_or_deleted(trading: Shop, superuser: Console) -> None:
    before = everything()
    request = _request(superuser)
    tried = spread(MODELS, examples(5, whole=len(MODELS)))  # each page takes a while
    for model in MODELS:
        row = _listed(model).first()
        assert row is not None, f"the fixture leaves {model.__name__} empty"
        values = {field.name: "1" for field in model._meta.concrete_fields}
        for url in (
            url_of(model, "add"),
            url_of(model, "change", row.pk),
            url_of(model, "delete", row.pk),
        ):
            assert superuser.client.post(url, {**values, "post": "yes"}).status_code == 403, url
        if model in tried:
            superuser.client.post(
                url_of(model, "changelist"),
                {"action": "delete_selected", "_selected_action": [str(row.pk)], "post": "yes"},
            )
        assert not admin.site._registry[model].get_actions(request), model.__name__
    assert everything() == before


def _request(console: Console) -> Any:
    return console.list(PaymentIntent).wsgi_request


def test_the_page_of_a_payment_shows_its_story(trading: Shop, superuser: Console) -> None:
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
    assert "cards of Germany (position 1)" in page
    assert f"{trading.account.code} (rule)" in page


def test_the_page_of_a_rule_says_who_changed_it(trading: Shop, superuser: Console) -> None:
    page = superuser.page(RoutingRule.objects.get()).content.decode()
    assert "staff:ada" in page
    assert "cards of Germany" in page


def test_an_operations_page_names_the_card(trading: Shop, superuser: Console) -> None:
    charge = Operation.objects.filter(kind="authorize").earliest("pk")
    assert f"visa {display.MASK} 4242" in superuser.page(charge).content.decode()


def test_pages_link_to_the_rows_that_they_name(
    trading: Shop, superuser: Console, owner_cursor: Any
) -> None:
    key = ApiKey.objects.get()
    owner_cursor.execute("UPDATE payments_operation SET actor = %s", [f"api_key:{key.pk}"])
    intent = PaymentIntent.objects.get(order_id=trading.order_id)
    assert url_of(ApiKey, "change", key.pk) in superuser.page(intent).content.decode()
    case = Case.objects.filter(intent_id=intent.id).earliest("pk")
    assert f">{case.subject}</a>" in superuser.page(case).content.decode()


def test_a_list_is_called_as_in_the_sidebar(superuser: Console) -> None:
    pages = {url_of(model, "changelist"): model._meta.verbose_name_plural for model in MODELS}
    for group in sidebar(_request(superuser)):
        for item in group["items"]:
            name = pages.get(str(item["link"]))
            if name is not None:
                assert str(name).lower().endswith(item["title"].lower())


def test_what_merchants_write_is_escaped(trading: Shop, superuser: Console) -> None:
    page = superuser.page(Customer.objects.get()).content.decode()
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert(1)" not in page


def test_a_notification_is_shown_as_it_came(trading: Shop, superuser: Console) -> None:
    [row] = PspNotification.objects.all()
    page = superuser.page(row).content.decode()
    assert "&lt;script&gt;" in page
    assert "<script>&quot;" not in page
    for reference in trading.operations_references():
        assert reference in page
    for term, found in ((row.event_id, [row]), ("sev_nothing", [])):
        listed = superuser.list(PspNotification, q=term).context["cl"].result_list
        assert list(listed) == found


NOT_GROWING = {
    "BooksCheck",
    "StagedLine",
    "Dispatch",
    "LedgerAccount",
    "BalanceSnapshot",
    "StreamGroup",
    "UnnumberedEvent",
    "CardVelocity",
    "SweepRun",
    "ScheduledExport",
    "RoutingRule",
    "RoutingDecision",
    "AuditEntry",
    "ServiceKey",
    "Seal",
    "Period",
    "BooksClose",
}
"""More of the same trade adds no row to these."""


def test_the_queries_of_a_list_do_not_grow_with_its_rows(trading: Shop, superuser: Console) -> None:
    ContentType.objects.get_for_models(*MODELS)
    few = {model: (_rows(model), _queries(superuser, model)) for model in MODELS}
    add_customer(trading, email="more@example.com")
    store_notice(trading)
    listen_in_vain(trading)
    settle(trading)
    sell(trading, order_id="more", key="more")  # Last, so that its events are not fanned out yet.
    account = PspAccount.objects.create(code="more", psp="sandbox")
    other = Merchant.objects.create(name="More", test_psp_account=account)
    ApiKey.objects.create(merchant=other, secret_sha256="more", last4="more")
    for model, (rows, queries) in few.items():
        assert len(_queries(superuser, model)) == len(queries), (model, queries)
        grown = _rows(model) > rows
        assert grown or model.__name__ in NOT_GROWING, model.__name__


def _rows(model: type[Model]) -> int:
    return model._default_manager.count()


def _queries(console: Console, model: type[Model]) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        shown = console.shown(model)
        assert list(results(shown)) or not _rows(model)
        for each in shown.filter_specs:
            list(each.choices(shown))
    return [query["sql"] for query in captured.captured_queries]


def test_the_queries_of_a_payments_page_do_not_grow_with_its_story(
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


def test_a_role_sees_only_the_pages_of_its_permissions(trading: Shop) -> None:
    role = Group.objects.create(name="refund clerks")
    role.permissions.add(
        *Permission.objects.filter(codename__in=["view_paymentintent", "view_refund"])
    )
    console = log_in()
    User.objects.get(username="reader").groups.add(role)
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


def test_only_a_superuser_changes_people(shop: Shop) -> None:
    console = log_in()
    reader = User.objects.get(username="reader")
    reader.user_permissions.add(*Permission.objects.filter(content_type__app_label="auth"))
    before = everything()
    assert console.list(User).status_code == 200
    for model, row in ((User, reader), (Group, Group.objects.create(name="a role"))):
        data = {"username": "me", "name": "mine", "is_superuser": "on", "post": "yes"}
        for url in (
            url_of(model, "add"),
            url_of(model, "change", row.pk),
            url_of(model, "delete", row.pk),
        ):
            assert console.client.post(url, data).status_code == 403, url
    Group.objects.get(name="a role").delete()
    assert everything() == before


def test_visitors_without_login_see_the_login_page_only(database: None) -> None:
    for model in MODELS:
        answer = Client().get(url_of(model, "changelist"))
        assert answer.status_code == 302
        assert reverse("admin:login") in answer["Location"]
