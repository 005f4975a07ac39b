"""Settlement in the console: the story of a payment, a report's lines, a line's transactions."""

from __future__ import annotations

from django.contrib.auth.models import Permission, User
from django.urls import reverse

from ledger.models import LedgerTransaction
from payments.models import PaymentIntent
from payments.tests.admin.console import log_in
from payments.tests.support.shop import uuid_of
from reconciliation.models import SettlementLine, SettlementMatch, SettlementReport
from reconciliation.services.matching.line_bookings import source_of
from reconciliation.tests.support.settling import Settling


def test_the_page_of_a_payment_shows_its_lines_and_no_other_payments(settling: Settling) -> None:
    intent_id = settling.disputed()
    other_id = settling.desk.pay(1_000, order_id="another-order")
    settling.close()
    settling.take_in()
    console = log_in(is_superuser=True)
    page = console.page(PaymentIntent.objects.get(pk=uuid_of(intent_id))).content.decode()
    assert "Settlement lines" in page
    [others] = [line for line in settling.lines() if line.gross_minor == 1_000]
    for line in settling.lines():
        url = reverse("admin:reconciliation_settlementline_change", args=[line.pk])
        assert (url in page) == (line != others), line
    page = console.page(PaymentIntent.objects.get(pk=uuid_of(other_id))).content.decode()
    assert reverse("admin:reconciliation_settlementline_change", args=[others.pk]) in page


def test_staff_without_permission_for_lines_does_not_see_them_in_the_story(
    settling: Settling,
) -> None:
    intent_id = settling.disputed()
    settling.close()
    settling.take_in()
    console = log_in()
    person = User.objects.get()
    permission = Permission.objects.get(codename="view_paymentintent")
    person.user_permissions.add(permission)
    page = console.page(PaymentIntent.objects.get(pk=uuid_of(intent_id)))
    assert page.status_code == 200
    assert "Settlement lines" not in page.content.decode()


def test_a_report_leads_to_its_lines_and_a_line_to_its_transactions(settling: Settling) -> None:
    settling.disputed()
    settling.close()
    settling.take_in()
    console = log_in(is_superuser=True)
    report = SettlementReport.objects.get()
    listed = console.list(SettlementLine, q=str(report.pk)).content.decode()
    for line in settling.lines():
        assert line.identity in listed
    assert str(report.pk) in console.page(report).content.decode()
    [withdrawn] = settling.lines(kind="dispute")
    page = console.page(withdrawn).content.decode()
    match = SettlementMatch.objects.get(line=withdrawn)
    assert reverse("admin:ledger_ledgertransaction_change", args=[match.transaction_id]) in page
    assert settling.desk.dispute().public_id in page
    settling.desk.pay(1_000, order_id="another-order")
    settling.close()
    settling.take_in()
    [charge] = settling.lines(kind="charge", gross_minor=1_000)
    booked = LedgerTransaction.objects.get(source_id=source_of(charge.pk))
    page = console.page(charge).content.decode()
    assert reverse("admin:ledger_ledgertransaction_change", args=[booked.pk]) in page
    dispute_page = console.list(SettlementLine, q=settling.desk.dispute().public_id)
    assert withdrawn.identity in dispute_page.content.decode()


def test_the_page_of_an_account_shows_its_remainder_and_asks_the_psp_if_it_is_wanted(
    settling: Settling,
) -> None:
    settling.desk.pay(9_000)
    settling.close()
    settling.take_in()
    settling.shop.psp.move_money(settling.api_key, "fee", 0, fee_minor=77)
    console = log_in(is_superuser=True)
    page = console.page(settling.shop.account).content.decode()
    assert "Remainder" in page
    assert "ask the PSP" in page
    assert "-0.77" not in page
    url = reverse("admin:payments_pspaccount_change", args=[settling.shop.account.pk])
    page = console.client.get(url, {"psp": "ask"}).content.decode()
    assert "BALANCE_DRIFT" in page
    assert "-0.77" in page
    settling.shop.psp.script({"down": 1}, kind="report")
    page = console.client.get(url, {"psp": "ask"}).content.decode()
    assert "the PSP could not be asked" in page
