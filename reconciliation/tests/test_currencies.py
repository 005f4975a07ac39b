"""The same minor units are the same money in the API, the console, the books and at the PSP."""

from __future__ import annotations

from html import unescape

import pytest
from django.contrib import admin
from django.contrib.admin.utils import flatten_fieldsets
from django.contrib.auth import get_user_model
from django.test import RequestFactory

from ledger.models import LedgerEntry
from ledger.money import CURRENCY_EXPONENTS
from payments.admin.display import money
from payments.models import PaymentIntent
from payments.tests.admin.console import log_in
from payments.tests.support.shop import body_of, uuid_of
from reconciliation.models import SettlementLine
from reconciliation.tests.support.settling import Settling

ZERO_DECIMALS = {
    *("BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV"),
    *("XAF", "XOF", "XPF"),
}
THREE_DECIMALS = {"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"}


def test_the_console_shows_the_decimals_of_every_currency() -> None:
    for currency in CURRENCY_EXPONENTS:
        shown = "123450" if currency in ZERO_DECIMALS else "1234.50"
        shown = "123.450" if currency in THREE_DECIMALS else shown
        assert f">{shown} {currency}<" in unescape(str(money(123_450, currency)))


def test_no_page_of_the_console_shows_minor_units_as_they_are_stored() -> None:
    request = RequestFactory().get("/admin/")
    request.user = get_user_model()(is_superuser=True)
    raw = []
    for model, page in admin.site._registry.items():
        shown = {*page.get_list_display(request), *flatten_fieldsets(page.get_fieldsets(request))}
        shown |= {field for inline in page.inlines for field in inline.fields or ()}
        raw += [f"{model.__name__}.{each}" for each in shown if str(each).endswith("_minor")]
    assert raw == []


@pytest.mark.parametrize(
    ("currency", "minor", "minor_at_the_psp", "shown"),
    [
        ("JPY", 5_000, 5_000, "5000 JPY"),
        ("MGA", 5_000, 5_000, "5000 MGA"),
        ("ISK", 500_000, 5_000, "5000.00 ISK"),  # this PSP counts whole krónur
        ("KWD", 12_340, 12_340, "12.340 KWD"),
    ],
)
def test_a_payment_is_the_same_money_everywhere(
    settling: Settling, currency: str, minor: int, minor_at_the_psp: int, shown: str
) -> None:
    intent = body_of(settling.shop.create(minor, currency=currency))
    assert (intent["amount_received"], intent["currency"]) == (minor, currency.lower())
    settling.close()
    settling.take_in()

    [line] = settling.lines(kind="charge")
    assert (line.gross_minor, line.currency, line.status) == (minor, currency, "matched")
    assert [each["amount_minor"] for each in settling.shop.effects()] == [minor_at_the_psp] * 2
    assert LedgerEntry.objects.filter(currency=currency, amount_minor=minor).exists()
    console = log_in(is_superuser=True)
    row = PaymentIntent.objects.get(pk=uuid_of(intent["id"]))
    for page in (console.list(PaymentIntent), console.page(row), console.list(SettlementLine)):
        assert shown in page.content.decode()
