"""What rows say: exports agree with each other, with the books, and with what merchants see."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from ledger.chart import CHART
from ledger.money import Money
from ledger.selectors import balances
from payments.selectors.balance import balance_of
from payments.selectors.scope import Scope
from payments.tests.support.shop import Shop
from psp_adapters.contract.settlement_reports import LineKind
from reconciliation.services.exports.cells import minor_of
from reconciliation.services.exports.open_amounts import age_bucket
from reconciliation.services.exports.settlement_rows import KINDS_SHOWN
from reconciliation.tests.support.banking import IBAN, Banking
from reconciliation.tests.support.business_day import (
    BusinessDay,
    exported,
    play_business_day,
    today,
)
from reconciliation.tests.support.settling import Settling


@pytest.fixture
def day(banking: Banking, other_shop: Shop) -> BusinessDay:
    return play_business_day(banking, other_shop)


def test_exports_of_the_books_are_the_same_books(day: BusinessDay) -> None:
    _journal_trial_balance_and_statements_are_the_same_books(day)
    _a_statement_ends_with_what_the_account_holds(day)
    _the_rows_of_a_day_are_of_that_day_alone(day)


def test_exports_of_merchants_say_what_the_api_says(day: BusinessDay) -> None:
    _what_a_merchant_is_owed_is_what_the_api_says(day)
    _items_are_open_since_the_day_on_which_they_last_were_not(day)
    _payments_refunds_and_disputes_are_shown_as_they_are_now(day)


def test_exports_of_settlement_go_from_gross_to_the_bank_and_name_what_is_open(
    day: BusinessDay,
) -> None:
    _a_report_is_shown_from_gross_to_its_bank_line(day)
    _what_is_not_explained_is_listed_with_its_case(day)


def rows_of(name: str, **limits: Any) -> list[dict[str, str]]:
    return exported(name, **limits)[0]


def only(rows: list[dict[str, str]], **wanted: str) -> dict[str, str]:
    [row] = [row for row in rows if all(row[name] == value for name, value in wanted.items())]
    return row


def _journal_trial_balance_and_statements_are_the_same_books(day: BusinessDay) -> None:
    journal, written, _ = exported("journal")
    _, by_posting, _ = exported("journal_by_posting")
    _, trial, _ = exported("trial_balance")
    _, statements, _ = exported("account_statement")
    for currency, totals in written.totals.items():
        assert totals["debit"] == totals["credit"]
        assert by_posting.totals[currency] == totals == statements.totals[currency]
        assert (trial.totals[currency]["debits"], trial.totals[currency]["credits"]) == (
            totals["debit"],
            totals["credit"],
        )
        closing = trial.totals[currency]
        assert closing["closing_debit"] == closing["closing_credit"] != "0.00"
    captured = only(journal, rule="captured", payment=day.paid, account="1100")
    assert captured["source"].startswith("ch_")
    assert (captured["account_name"], captured["mode"]) == ("psp_receivable", "test")
    assert (captured["debit"], captured["credit"]) == ("100.00", "")
    payout = only(journal, rule="payout", account="1120")
    assert (payout["payout"], payout["source"][-6:]) == ("po_1234567", "line 2")
    assert only(journal, rule="payout_on_bank", account="1200")["account_of"] == IBAN


def _a_statement_ends_with_what_the_account_holds(day: BusinessDay) -> None:
    held = {(str(ref.code), ref.currency, ref.dimension): m for ref, m in balances().items() if m}
    closings = [row for row in rows_of("account_statement") if row["line"] == "closing"]
    for row in closings:
        if CHART[int(row["account"])].owner == "psp_account":
            place = row["account"], row["currency"], row["account_of"]
            assert row["balance"] == held.get(place, Money(0, row["currency"])).decimal
    shown = {(row["account"], row["currency"]) for row in closings}
    assert {(code, currency) for code, currency, _ in held} <= shown
    entries = [r for r in rows_of("account_statement", account="1200") if r["line"] == "entry"]
    assert [(row["debit"], row["balance"]) for row in entries] == [
        ("90.00", "90.00"),
        ("5.00", "95.00"),
    ]


def _what_a_merchant_is_owed_is_what_the_api_says(day: BusinessDay) -> None:
    balance = balance_of(Scope(day.shop.merchant.id, livemode=False))
    [row] = rows_of("merchant_balances", merchant=day.merchant)
    assert row["available"] == balance.available[0].decimal
    assert row["pending"] == balance.pending[0].decimal
    assert row["held"] == "250.00"
    _, changes, _ = exported("balance_transactions", merchant=day.merchant)
    assert changes.totals["USD"]["net"] == row["owed"]
    assert changes.totals["USD"]["fee"] != "0.00"


def _items_are_open_since_the_day_on_which_they_last_were_not(day: BusinessDay) -> None:
    items = rows_of("open_items", merchant=day.merchant)
    refund = only(items, account="2200")
    assert (refund["payment"], refund["credit"]) == (day.paid, "20.00")
    assert (refund["open_since"], refund["age_days"], refund["age"]) == (
        str(today()),
        "0",
        "0 to 1",
    )
    # The capture of the other payment was settled in March, by its line.
    assert [row["payment"] for row in items if row["account"] == "1100"] != [day.paid]
    assert only(items, account="9100")["debit"] == "7.00"
    assert [age_bucket(days) for days in (1, 2, 3, 4, 7, 8, 30, 31)] == [
        *("0 to 1", "2 to 3", "2 to 3", "4 to 7", "4 to 7", "8 to 30", "8 to 30", "over 30"),
    ]


def _a_report_is_shown_from_gross_to_its_bank_line(day: BusinessDay) -> None:
    [row] = rows_of("settlement_by_payout")
    assert {name: row[name] for name in ("charges", "unknown", "gross", "markup")} == {
        "charges": "105.00",
        "unknown": "0.70",
        "gross": "105.70",
        "markup": "1.65",
    }
    assert (row["account_fees"], row["net"], row["paid_out"]) == ("0.25", "103.80", "90.00")
    assert (row["kept_at_psp"], row["payout"], row["lines"]) == ("13.80", "", "4")
    assert (row["bank_account"], row["on_bank"]) == (IBAN, "90.00")
    assert row["bank_lines"] == "S1-2026-03-02 line 1"
    fee = only(rows_of("fee_variance"), kind="charge", payment=day.paid)
    assert (fee["gross"], fee["fee"], fee["fee_percent"]) == ("100.00", "1.65", "1.650")
    assert fee["variance"] == ""
    assert (fee["markup"], fee["interchange"], fee["scheme_fee"]) == ("1.65", "0.00", "0.00")


def _what_is_not_explained_is_listed_with_its_case(day: BusinessDay) -> None:
    unmatched = rows_of("unmatched")
    assert {(row["what"], row["discrepancy"], row["amount"]) for row in unmatched} == {
        ("settlement line", "MISSING_INTERNAL", "5.00"),
        ("settlement line", "UNKNOWN_LINE_TYPE", "0.70"),
        ("bank line", "BANK_UNIDENTIFIED", "5.00"),
    }
    mystery = only(unmatched, discrepancy="UNKNOWN_LINE_TYPE")
    assert mystery["case"].startswith("case_")
    adjusted = only(rows_of("adjustments"), rule="unexplained_receipt")
    assert (adjusted["case"], adjusted["amount"]) == (mystery["case"], "0.70")
    assert (adjusted["maker"], adjusted["resolution"]) == ("staff:ada", "")
    rebate = only(rows_of("adjustments"), rule="unidentified_receipt")
    assert (rebate["amount"], rebate["maker"]) == ("5.00", "staff:ada")


def _payments_refunds_and_disputes_are_shown_as_they_are_now(day: BusinessDay) -> None:
    paid = only(rows_of("payments"), payment=day.paid)
    assert (paid["captured"], paid["refunded"], paid["order_id"]) != ("", "", "")
    assert (paid["method"], paid["card_brand"], paid["card_last4"]) == ("card", "visa", "4242")
    declined = only(rows_of("payments"), order_id="order-declined")
    assert (declined["last_error"], declined["captured"]) == ("card_declined", "0.00")
    [refund] = rows_of("refunds", merchant=day.merchant)
    assert (refund["amount"], refund["payment"]) == ("20.00", day.paid)
    assert refund["actor"] == "api_key:sk_test_…abcd"
    [dispute] = rows_of("disputes", merchant=day.merchant)
    assert (dispute["amount"], dispute["payment"]) == ("250.00", day.disputed)


def _the_rows_of_a_day_are_of_that_day_alone(day: BusinessDay) -> None:
    spring = {"first": date(2026, 3, 1), "last": date(2026, 3, 1)}
    rules = {row["rule"] for row in rows_of("journal", **spring)}
    assert rules == {
        *("charge_settled", "psp_markup", "payout", "account_fee", "unexplained_receipt"),
    }
    assert rows_of("journal_by_posting", **spring) == []
    assert rows_of("payments", **spring) == []


def test_lines_of_one_payout_are_one_row_whatever_reports_they_come_in(settling: Settling) -> None:
    for number, minor in enumerate((9_000, 5_000)):
        settling.desk.pay(minor, order_id=f"order-{number}")
    settling.shop.psp.spoil_report(settling.api_key, "split")
    settling.close(pay_out=True)
    settling.take_in()
    [row] = rows_of("settlement_by_payout")
    assert (row["charges"], row["paid_out"], row["kept_at_psp"]) == ("140.00", row["net"], "0.00")
    assert row["payout"]
    assert len(row["reports"].split(" ")) == 2
    assert rows_of("settlement_by_payout", last=today() - timedelta(1)) == []


def test_a_fee_that_is_not_the_agreed_one_is_exported_with_the_difference(
    settling: Settling,
) -> None:
    account = settling.shop.account
    account.costs = [{"fixed_minor": 0, "basis_points": 100}]
    account.save(update_fields=["costs"])
    settling.desk.pay(10_000)
    settling.close()
    settling.take_in()
    row = only(rows_of("fee_variance"), kind="charge")
    assert minor_of(row["variance"], "USD") == minor_of(row["fee"], "USD") - 100 != 0


def test_each_kind_of_line_is_in_a_column_of_its_payout() -> None:
    assert set(LineKind) == KINDS_SHOWN
