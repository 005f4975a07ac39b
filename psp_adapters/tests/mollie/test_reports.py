"""Mollie's settlements as reports: the contract, and that they prove to be whole."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ledger.money import Money
from psp_adapters.contract import report_rows
from psp_adapters.contract.answers import Contradiction
from psp_adapters.contract.operations import PspUnavailable
from psp_adapters.contract.settlement_reports import Conversion, LineKind
from psp_adapters.mollie import reports
from psp_adapters.mollie.adapter import MollieAdapter
from psp_adapters.tests.suites.report_suite import ReportReadingContract
from psp_adapters.tests.support.mollie_double import (
    adapter_answered,
    capture_view,
    chargeback_view,
    eur,
    open_view,
    page_of,
    refund_view,
)
from psp_adapters.tests.support.report_bytes import fetched, lines_in


def row(**changes: Any) -> dict[str, Any]:
    return {
        "id": "tr_1",
        "category": "charge",
        "payment": "tr_1",
        "reference": "op_1",
        "currency": "EUR",
        "gross": 1000,
        "fee": 0,
        "net": 1000,
        "created": 1_767_225_600,
    } | changes


ROWS = [
    row(),
    row(id="re_1", category="refund", reference="op_3", gross=-400, net=-400),
    row(id="tr_2", payment="tr_2", currency="GBP", gross=500, net=500),
    row(id="stl_1:costs", category="costs", payment="", reference="", gross=0, fee=59, net=-59),
]


@pytest.fixture(scope="module")
def adapter() -> MollieAdapter:
    adapter, _ = adapter_answered()
    return adapter


class TestReadingMollieReports(ReportReadingContract):
    def whole(self) -> bytes:
        return report_rows.render(ROWS)

    def large(self, line_count: int) -> bytes:
        return report_rows.render([row(id=f"tr_{number}") for number in range(line_count)])

    def of_type(self, psp_type: str) -> bytes:
        return report_rows.render([row(category=psp_type)])

    def broken(self) -> dict[str, bytes]:
        good = self.whole().splitlines(keepends=True)
        return {
            f"{name}={value!r}": report_rows.render([row(**{name: value})])
            for name, value in [
                *(("id", ""), ("category", ""), ("payment", ""), ("reference", "op\x851")),
                *(("currency", "eur"), ("net", 940), ("gross", 1000.0), ("created", "1")),
            ]
        } | {
            "no control row": b"".join(good[: len(ROWS)]),
            "a line after the end": self.whole() + good[0],
            "a field more": json.dumps(row(more=1)).encode() + b"\n",
            "no end of the last line": self.whole()[:-1],
        }


SETTLEMENT = {
    "resource": "settlement",
    "id": "stl_1",
    "status": "paidout",
    "reference": "1234567.2601.01",
    "settledAt": "2026-01-06T09:41:44+00:00",
    "amount": eur("1.99"),
    "periods": {
        "2026": {"01": {"costs": [{"amountGross": eur("0.5100")}, {"amountGross": eur("0.5041")}]}}
    },
}
LISTS = {
    "payments": [open_view(status="paid", settlementAmount=eur("10.00"))],
    "captures": [capture_view(settlementAmount=eur("7.00"))],
    "refunds": [refund_view(settlementAmount=eur("-4.00"))],
    "chargebacks": [chargeback_view(settlementAmount=eur("-10.00"))],
}


def test_a_settlement_is_one_report_with_its_costs_as_one_line(adapter: MollieAdapter) -> None:
    body = reports.report_of(SETTLEMENT, LISTS, name="stl_1")
    lines = list(lines_in(adapter, body))
    assert {(line.kind, line.psp_id, line.psp_payment_id, line.reference) for line in lines} == {
        (LineKind.CHARGE, "tr_1", "tr_1", "op_1"),
        (LineKind.CHARGE, "cpt_1", "tr_1", "op_2"),
        (LineKind.REFUND, "re_1", "tr_1", "op_3"),
        (LineKind.DISPUTE, "chb_1", "tr_1", ""),
        (LineKind.FEE, "stl_1:costs", "", ""),
        (LineKind.PAYOUT, "stl_1:payout", "", "1234567.2601.01"),
    }
    costs, payout = lines[-2:]
    assert (costs.psp_type, costs.fee) == ("costs", Money(101, "EUR"))
    assert payout.net == Money(-199, "EUR")
    assert sum(line.net.minor for line in lines) == 0
    assert reports.report_of(SETTLEMENT, LISTS, name="stl_1") == body


def test_a_payment_in_another_currency_is_told_with_what_was_paid(adapter: MollieAdapter) -> None:
    dollars = {"currency": "USD", "value": "11.00"}
    payment = open_view(status="paid", amount=dollars, settlementAmount=eur("10.00"))
    refund = refund_view(amount={**dollars, "value": "4.40"}, settlementAmount=eur("-4.00"))
    lists = LISTS | {"payments": [payment], "refunds": [refund]}
    lines = lines_in(adapter, reports.report_of(SETTLEMENT, lists, name="stl_1"))
    converted = {line.psp_id: line.conversion for line in lines if line.conversion is not None}
    assert converted == {
        "tr_1": Conversion(paid=Money(1100, "USD"), rate=""),
        "re_1": Conversion(paid=Money(-440, "USD"), rate=""),
    }


@pytest.mark.parametrize(
    ("settlement", "lists"),
    [
        ({"amount": eur("1.97")}, {}),
        ({"amount": eur("12.99")}, {}),
        ({"id": "stl_2"}, {}),
        ({"status": "pending"}, {}),
        ({}, {"refunds": []}),
        ({}, {"captures": [capture_view(settlementAmount={"currency": "GBP", "value": "7.00"})]}),
    ],
)
def test_a_settlement_that_does_not_add_up_is_no_report(settlement: Any, lists: Any) -> None:
    with pytest.raises(Contradiction):
        reports.report_of(SETTLEMENT | settlement, LISTS | lists, name="stl_1")


def test_settlements_need_the_token_of_the_organization(adapter: MollieAdapter) -> None:
    assert MollieAdapter.capabilities.settlement_reports
    assert not adapter.capabilities.settlement_reports
    with pytest.raises(PspUnavailable, match="access_token"):
        adapter.list_reports(since=None, deadline_seconds=1)
    with pytest.raises(PspUnavailable, match="access_token"):
        fetched(adapter, "stl_1", deadline_seconds=1)
    with pytest.raises(PspUnavailable, match="not the name"):
        fetched(adapter, "../stl_1", deadline_seconds=1)


def test_what_was_paid_out_is_listed_and_fetched_with_that_token() -> None:
    paid = [SETTLEMENT, SETTLEMENT | {"id": "stl_2", "status": "open", "settledAt": None}]
    pages = [page_of(name, *views) for name, views in LISTS.items()]
    answers = [page_of("settlements", *paid), (200, SETTLEMENT), *pages]
    adapter, transport = adapter_answered(*answers)
    adapter = with_organization(adapter)
    [listing] = adapter.list_reports(since=None, deadline_seconds=1)
    assert (listing.name, listing.line_count) == ("stl_1", None)
    body = fetched(adapter, "stl_1", deadline_seconds=1)
    assert body == reports.report_of(SETTLEMENT, LISTS, name="stl_1")
    assert [path for _, path, _ in transport.requests[2:]] == [
        f"/v2/settlements/stl_1/{name}" for name in LISTS
    ]


def with_organization(adapter: MollieAdapter) -> MollieAdapter:
    """The same adapter, which uses its doubled connection for settlements too."""
    adapter._organization = adapter._connection
    return adapter
