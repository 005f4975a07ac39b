"""Stripe's settlement reports: the contract for those of the API, and the itemized CSV."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest

from ledger.money import Money
from psp_adapters.contract import report_rows
from psp_adapters.contract.operations import PspUnavailable
from psp_adapters.contract.settlement_reports import Conversion, LineKind, ReportUnreadable
from psp_adapters.stripe import reports
from psp_adapters.stripe.adapter import StripeAdapter
from psp_adapters.tests.suites.report_suite import ReportReadingContract
from psp_adapters.tests.support.report_bytes import fetched, lines_in
from psp_adapters.tests.support.stripe_double import CREATED, adapter_answered


def row(**changes: Any) -> dict[str, Any]:
    return {
        "id": "txn_1",
        "category": "charge",
        "source": "ch_1",
        "intent": "pi_1",
        "reference": "op_1",
        "currency": "usd",
        "gross": 1000,
        "fee": 59,
        "net": 941,
        "created": CREATED,
        "payout": "po_1",
        "available": CREATED + 172_800,
    } | changes


ROWS = [
    row(),
    row(id="txn_2", category="refund", source="re_1", gross=-400, fee=0, net=-400),
    row(id="txn_3", category="charge", currency="jpy", gross=500, fee=0, net=500),
    row(id="txn_4", category="dispute", source="dp_1", gross=-600, fee=1500, net=-2100),
]
CONTROL_ROWS = report_rows.render(ROWS).splitlines(keepends=True)[len(ROWS) :]


def with_line(line: dict[str, Any]) -> bytes:
    """A report whose one line is `line`, with sums that agree."""
    return report_rows.render([line])


@pytest.fixture(scope="module")
def adapter() -> StripeAdapter:
    adapter, _ = adapter_answered()
    return adapter


class TestReadingStripeReports(ReportReadingContract):
    def whole(self) -> bytes:
        return report_rows.render(ROWS)

    def large(self, line_count: int) -> bytes:
        return report_rows.render([row(id=f"txn_{number}") for number in range(line_count)])

    def of_type(self, psp_type: str) -> bytes:
        return with_line(row(category=psp_type))

    def broken(self) -> dict[str, bytes]:
        lines = {
            f"{name}={value!r}": with_line(row(**{name: value}))
            for name, value in [
                *(("id", ""), ("id", "a b"), ("category", ""), ("category", "x" * 501)),
                *(("intent", ""), ("reference", "op\x851"), ("reference", "x" * 501)),
                *(("currency", "USD"), ("currency", "xxy"), ("net", 940), ("fee", 58)),
                *(("gross", 1000.0), ("created", 10**20), ("created", "1")),
                *(("available", 10**20), ("available", "1")),
            ]
        }
        good = self.whole().splitlines(keepends=True)
        total = json.loads(good[-1])
        return lines | {
            "no control row": b"".join(good[: len(ROWS)]),
            "a control row twice": self.whole() + CONTROL_ROWS[0],
            "a line after the end": self.whole() + good[0],
            "another count": b"".join(good[:-1])
            + json.dumps(total | {"lines": 9}).encode()
            + b"\n",
            "another sum": b"".join(good[:-1]) + json.dumps(total | {"net": 9}).encode() + b"\n",
            "a field more": json.dumps(row(more=1)).encode() + b"\n",
            "no end of the last line": self.whole()[:-1],
        }


def transaction(**changes: Any) -> dict[str, Any]:
    return {
        "id": "txn_1",
        "object": "balance_transaction",
        "type": "charge",
        "reporting_category": "charge",
        "amount": 1000,
        "fee": 59,
        "net": 941,
        "currency": "usd",
        "created": CREATED,
        "available_on": CREATED + 172_800,
        "source": {
            "id": "ch_1",
            "object": "charge",
            "payment_intent": "pi_1",
            "metadata": {"reference": "op_1"},
        },
    } | changes


PAYOUT = {
    "id": "po_1",
    "object": "payout",
    "automatic": True,
    "amount": 541,
    "currency": "usd",
    "arrival_date": CREATED + 86_400,
    "reconciliation_status": "completed",
    "status": "paid",
}
REFUND = {
    "id": "re_1",
    "object": "refund",
    "payment_intent": "pi_1",
    "metadata": {"reference": "op_3"},
}
REFUNDED = transaction(
    id="txn_2",
    type="refund",
    reporting_category="refund",
    amount=-400,
    fee=0,
    net=-400,
    source=REFUND,
)
PAID_OUT = transaction(
    id="txn_3",
    type="payout",
    reporting_category="payout",
    amount=-541,
    fee=0,
    net=-541,
    source={"id": "po_1", "object": "payout"},
)


def list_of(*data: dict[str, Any], has_more: bool = False) -> tuple[int, Any]:
    return 200, {"object": "list", "data": list(data), "has_more": has_more}


def test_automatic_payouts_are_listed_oldest_first_and_manual_ones_left_out() -> None:
    later = PAYOUT | {"id": "po_2", "arrival_date": CREATED + 2 * 86_400}
    manual = PAYOUT | {"id": "po_3", "automatic": False}
    unfinished = PAYOUT | {"id": "po_4", "reconciliation_status": "in_progress"}
    adapter, transport = adapter_answered(list_of(later, manual, unfinished, PAYOUT))
    since = datetime.fromtimestamp(CREATED, UTC)
    listed = adapter.list_reports(since=since, deadline_seconds=1)
    assert [each.name for each in listed] == ["po_1", "po_2"]
    assert listed[0].closed_at == datetime.fromtimestamp(CREATED + 86_400, UTC)
    _, path, form = transport.requests[0]
    assert (path, form["arrival_date[gte]"], form["status"]) == (
        "/v1/payouts",
        str(CREATED),
        "paid",
    )


def test_a_payouts_transactions_are_fetched_page_by_page_as_one_report() -> None:
    adapter, transport = adapter_answered(
        (200, PAYOUT), list_of(PAID_OUT, REFUNDED, has_more=True), list_of(transaction())
    )
    body = fetched(adapter, "po_1", deadline_seconds=1)
    charge, refund, payout = lines_in(adapter, body)
    assert (charge.kind, charge.psp_id, charge.psp_payment_id) == (LineKind.CHARGE, "pi_1", "pi_1")
    assert (charge.gross, charge.fee, charge.reference) == (
        Money(1000, "USD"),
        Money(59, "USD"),
        "op_1",
    )
    assert (refund.kind, refund.psp_id, refund.reference) == (LineKind.REFUND, "re_1", "op_3")
    assert refund.net == Money(-400, "USD")
    assert (payout.kind, payout.psp_id, payout.net.minor) == (LineKind.PAYOUT, "po_1", -541)
    assert [form.get("payout") for _, _, form in transport.requests[1:]] == ["po_1", "po_1"]
    again, _ = adapter_answered((200, PAYOUT), list_of(transaction(), REFUNDED, PAID_OUT))
    assert fetched(again, "po_1", deadline_seconds=1) == body


def test_what_stripe_converted_is_told_with_its_rate() -> None:
    source = {**transaction()["source"], "currency": "eur", "amount": 900, "amount_captured": 810}
    returned = {**REFUND, "currency": "eur", "amount": 270}
    uncaptured = transaction(
        id="txn_4",
        type="adjustment",
        reporting_category="partial_capture_reversal",
        amount=-100,
        fee=0,
        net=-100,
        source=source,
    )
    refunded = {**REFUNDED, "amount": -300, "net": -300, "source": returned}
    charged = transaction(source=source, exchange_rate=1.11111)
    adapter, _ = adapter_answered((200, PAYOUT), list_of(charged, refunded, uncaptured, PAID_OUT))
    lines = list(lines_in(adapter, fetched(adapter, "po_1", deadline_seconds=1)))
    assert {line.psp_type: line.conversion for line in lines} == {
        "charge": Conversion(paid=Money(900, "EUR"), rate="1.11111"),
        "refund": Conversion(paid=Money(-270, "EUR"), rate=""),
        "partial_capture_reversal": Conversion(paid=Money(-90, "EUR"), rate=""),
        "payout": None,
    }
    assert {line.psp_payout_id for line in lines} == {"po_1"}


@pytest.mark.parametrize(
    "answers",
    [
        [(404, {"error": {"type": "invalid_request_error"}})],
        [(200, PAYOUT | {"id": "po_2"}), list_of(transaction(), REFUNDED)],
        [(200, PAYOUT), list_of(transaction())],
        [(200, PAYOUT), (500, {"error": {}})],
        [(200, PAYOUT), (200, {"object": "list", "data": None})],
    ],
)
def test_a_report_that_does_not_add_up_to_its_payout_is_unavailable(answers: Any) -> None:
    adapter, _ = adapter_answered(*answers)
    with pytest.raises(PspUnavailable):
        fetched(adapter, "po_1", deadline_seconds=1)


@pytest.mark.parametrize("name", ["", "..", "po_", "po_1/..", "tr_1"])
def test_only_the_id_of_a_payout_is_the_name_of_a_report(name: str) -> None:
    adapter, transport = adapter_answered()
    with pytest.raises(PspUnavailable):
        fetched(adapter, name, deadline_seconds=1)
    assert transport.requests == []


HEADER = (
    "balance_transaction_id,created,available_on,automatic_payout_id,"
    "automatic_payout_effective_at,currency,gross,fee,net,reporting_category,source_id,charge_id,"
    "payment_intent_id,description,payment_metadata[reference]"
)
ITEMIZED = [
    "txn_1,2026-01-01 00:00:00,2026-01-03 00:00:00,po_1,,usd,10.00,0.59,9.41,charge,ch_1,ch_1,"
    "pi_1,Order,op_1",
    "txn_2,2026-01-01 00:00:00,,po_1,,usd,-4.00,0.00,-4.00,refund,re_1,ch_1,pi_1,,op_1",
    "txn_3,2026-01-01 00:00:00,,po_1,,jpy,500,0,500,charge,ch_2,ch_2,pi_2,,op_2",
    "txn_4,2026-01-01 00:00:00,,po_1,,kwd,1.230,0.000,1.230,charge,ch_3,ch_3,pi_3,,op_3",
    "txn_5,2026-01-01 00:00:00,,po_1,,usd,-10.00,15.00,-25.00,dispute,dp_1,ch_1,pi_1,,op_1",
    "txn_6,2026-01-01 00:00:00,,po_1,,usd,-1.00,0.00,-1.00,fee,fee_1,,,Billing,",
    "txn_7,2026-01-01 00:00:00,,po_1,,usd,-5.00,0.00,-5.00,payout,po_1,,,,",
]


def itemized(*rows: str, header: str = HEADER) -> bytes:
    return "".join(f"{each}\n" for each in (header, *rows)).encode()


def test_the_itemized_file_is_read_by_its_columns_in_major_units(adapter: StripeAdapter) -> None:
    lines = list(lines_in(adapter, itemized(*ITEMIZED)))
    assert [(line.kind, line.psp_id, line.gross) for line in lines] == [
        (LineKind.CHARGE, "pi_1", Money(1000, "USD")),
        (LineKind.REFUND, "re_1", Money(-400, "USD")),
        (LineKind.CHARGE, "pi_2", Money(500, "JPY")),
        (LineKind.CHARGE, "pi_3", Money(1230, "KWD")),
        (LineKind.DISPUTE, "dp_1", Money(-1000, "USD")),
        (LineKind.FEE, "fee_1", Money(-100, "USD")),
        (LineKind.PAYOUT, "po_1", Money(-500, "USD")),
    ]
    assert [line.reference for line in lines] == ["op_1", "", "op_2", "op_3", "", "", ""]
    assert lines[4].net == Money(-2500, "USD")
    assert {line.psp_payout_id for line in lines} == {"po_1"}
    assert lines[0].occurred_at == datetime(2026, 1, 1, tzinfo=UTC)
    assert [line.available_on for line in lines] == [date(2026, 1, 3)] + [None] * 6


def test_the_itemized_file_says_what_the_customer_paid(adapter: StripeAdapter) -> None:
    header = f"{HEADER},customer_facing_amount,customer_facing_currency"
    rows = (f"{ITEMIZED[0]},9.00,eur", f"{ITEMIZED[1]},-4.00,usd", f"{ITEMIZED[5]},,")
    charge, *others = lines_in(adapter, itemized(*rows, header=header))
    assert charge.conversion == Conversion(paid=Money(900, "EUR"), rate="")
    assert [line.conversion for line in others] == [None, None]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("txn_1", ""),
        ("2026-01-01 00", "2026-02-30 00"),
        ("2026-01-01 00:00:00", "yesterday"),
        (",usd,", ",xxy,"),
        ("10.00", "10.001"),
        ("10.00", "1e1"),
        ("10.00", "10,00"),
        ("9.41", "9.40"),
        ("pi_1", ""),
        ("Order", '"Order'),
        ("op_1", "x" * 20_000),
        (",op_1", ",op_1,more"),
    ],
)
def test_a_bad_field_of_the_itemized_file_is_refused(
    adapter: StripeAdapter, old: str, new: str
) -> None:
    body = itemized(ITEMIZED[0].replace(old, new, 1))
    with pytest.raises(ReportUnreadable, match=r"^line 2"):
        list(lines_in(adapter, body))


@pytest.mark.parametrize("column", reports.CSV_COLUMNS)
def test_an_itemized_file_without_a_column_is_refused(adapter: StripeAdapter, column: str) -> None:
    with pytest.raises(ReportUnreadable, match=column):
        list(lines_in(adapter, itemized(header=HEADER.replace(column, "other", 1))))


def test_the_columns_that_stripe_documents_are_those_that_we_read() -> None:
    import os
    from pathlib import Path

    name = os.environ.get("STRIPE_ITEMIZED_COLUMNS_FILE", "")
    if not name:
        pytest.skip("STRIPE_ITEMIZED_COLUMNS_FILE names no file of Stripe's columns")
    assert set(reports.CSV_COLUMNS) <= set(Path(name).read_text().strip().split(","))


def test_the_balance_is_available_and_pending_together_by_currency() -> None:
    def part(*amounts: tuple[int, str]) -> list[dict[str, Any]]:
        return [{"amount": minor, "currency": currency} for minor, currency in amounts]

    view = {"available": part((700, "usd"), (5, "jpy")), "pending": part((-900, "usd"))}
    adapter, transport = adapter_answered((200, {"object": "balance", **view}), (200, {}))
    stated = adapter.look_up_balance(deadline_seconds=5)
    assert stated == (Money(5, "JPY"), Money(-200, "USD"))
    assert [(method, path) for method, path, _ in transport.requests] == [("GET", "/v1/balance")]
    with pytest.raises(PspUnavailable):
        adapter.look_up_balance(deadline_seconds=5)
