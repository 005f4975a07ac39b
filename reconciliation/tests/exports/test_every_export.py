"""Every export: its rows, its totals, one merchant alone, texts that no spreadsheet computes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.apps import apps
from django.db import models

from payments import public_ids
from payments.tests.support.factories import MerchantFactory
from payments.tests.support.shop import Shop
from payments.tests.verification.test_every_column import triggers_off
from reconciliation.services.exports.cells import minor_of, safe_text
from reconciliation.services.exports.declaration import Export, Kind, Limit
from reconciliation.services.exports.registry import EXPORTS, chosen_by
from reconciliation.tests.support.banking import Banking
from reconciliation.tests.support.business_day import (
    BusinessDay,
    exported,
    play_business_day,
)
from reconciliation.tests.test_card_numbers import MERCHANT, OUTSIDE

_JSON = {
    "Operation.payment_method_details": "{card,brand}",
    "PaymentIntent.last_payment_error": "{code}",
}
"""Where in a JSON column the text is that an export shows."""
UUIDS = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
SEEN = {
    *("PaymentIntent.order_id", "PaymentIntent.description", "PaymentIntent.statement_descriptor"),
    *("Refund.description", "Refund.failure_reason", "Dispute.reason", "Case.resolution"),
    *("Case.summary", "SettlementLine.psp_type", "BankLine.text"),
    *("Dispute.network_reason_code", "SettlementLine.last_error", "BankLine.last_error"),
    *("BankStatement.reference", "Merchant.name"),
    *("Operation.payment_method_details", "PaymentIntent.last_payment_error"),
}
"""Which texts from outside exports show."""


@pytest.fixture
def day(banking: Banking, other_shop: Shop) -> BusinessDay:
    return play_business_day(banking, other_shop)


def test_every_export_adds_up_and_that_of_one_merchant_has_no_row_of_another_one(
    day: BusinessDay,
) -> None:
    foreign = [public_ids.encode(public_ids.MERCHANT, day.other.merchant.id), "EUR"]
    foreign += [day.other.merchant.name, day.other.order_id, day.other.account.code]
    of_both = set()
    for name, export in EXPORTS.items():
        whole = _assert_adds_up(export)
        if Limit.MERCHANT in export.limits:
            own, _, data = exported(name, merchant=day.merchant)
            assert own or name == "adjustments", name
            assert [each for each in foreign if each in data.decode()] == [], name
            of_both |= {name} if any(each in whole for each in foreign) else set()
    # Reports and bank lines are of no merchant; the others have none in this day.
    without = {"settlement_by_payout", "unmatched", "fee_variance", "adjustments"}
    assert of_both == set(EXPORTS) - without


def _assert_adds_up(export: Export) -> str:
    """The whole export, which has rows, names nothing by an internal id, and adds up."""
    rows, manifest, data = exported(export.name)
    assert rows, export.name
    assert manifest.rows == len(rows) == data.count(b"\r\n") - 1
    assert not UUIDS.search(data.decode()), export.name
    assert {row["currency"] for row in rows} == set(manifest.totals), export.name
    for column in export.columns:
        for currency, totals in manifest.totals.items() if column.adds_up else ():
            cells = [row[column.name] for row in rows if row["currency"] == currency]
            added = sum(minor_of(cell, currency) for cell in cells if cell)
            assert minor_of(totals[column.name], currency) == added, (export.name, column)
    return data.decode()


@pytest.mark.usefixtures("database")
def test_limits_that_an_export_does_not_have_are_refused() -> None:
    merchant = public_ids.encode(public_ids.MERCHANT, MerchantFactory.create().id)
    with pytest.raises(ValueError, match="unmatched cannot be limited to one merchant"):
        chosen_by(EXPORTS["unmatched"], merchant=merchant)
    with pytest.raises(ValueError, match="payments cannot be limited to one account"):
        chosen_by(EXPORTS["payments"], account="1110")
    for wrong in ({"merchant": "acct_x"}, {"account": "7"}, {"currency": "ABC"}):
        with pytest.raises(ValueError, match="no such"):
            chosen_by(EXPORTS["journal"], **wrong)


def test_no_text_from_outside_is_a_formula_in_any_export(
    day: BusinessDay, owner_cursor: psycopg.Cursor[Any]
) -> None:
    formulas = {f"=1+{number}": name for number, name in enumerate(_set_formulas(owner_cursor))}
    shown = {cell for name in EXPORTS for cell in _text_cells(name)}
    assert not shown & set(formulas), "a spreadsheet would compute it"
    assert {formulas[cell[1:]] for cell in shown if cell[1:] in formulas} == SEEN


def _set_formulas(owner: psycopg.Cursor[Any]) -> list[str]:
    """Make every text from outside a formula with its own number; the columns in this order.

    A column with rules that leave no formula in it stays as it is.
    """
    done = []
    for app in ("payments", "reconciliation"):
        for model in apps.get_app_config(app).get_models():
            for field in model._meta.concrete_fields:
                name = f"{model.__name__}.{field.column}"
                if name in {*MERCHANT, *OUTSIDE, "Merchant.name"}:
                    done += _set_formula(owner, model._meta.db_table, field, name, len(done))
    return done


def _set_formula(
    owner: psycopg.Cursor[Any], table: str, field: Any, name: str, number: int
) -> list[str]:
    value = "%s"
    if isinstance(field, models.JSONField):
        path = _JSON.get(name)
        if path is None:
            return []
        value = f"jsonb_set({field.column}, '{path}', to_jsonb(%s::text))"
    try:
        with triggers_off(owner, table):
            owner.execute(f"UPDATE {table} SET {field.column} = {value}", [f"=1+{number}"])  # type: ignore[call-overload]
    except (psycopg.errors.IntegrityError, psycopg.errors.DataError):
        return []
    return [name]


def _text_cells(name: str) -> Iterator[str]:
    columns = EXPORTS[name].columns
    texts = [column.name for column in columns if column.kind is Kind.TEXT]
    for row in exported(name)[0]:
        yield from (row[each] for each in texts)


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        " =1",
        "\uff1d1+1",
        "-12.00",
        "\u00a0=1",
    ],
)
def test_a_text_that_could_be_computed_is_behind_an_apostrophe(text: str) -> None:
    assert safe_text(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "order-7", "a=b", "1-2", "'=1", "pi_x", UUID(int=0).hex])
def test_any_other_text_stays_as_it_is(text: str) -> None:
    assert safe_text(text) == text
