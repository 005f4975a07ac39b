"""Adyen's settlement detail report: columns by name, the direction by the column that is filled."""

from __future__ import annotations

import csv
import io
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from ledger.money import Money
from psp_adapters.adyen import reports
from psp_adapters.adyen.adapter import AdyenAdapter
from psp_adapters.contract.operations import PspUnavailable
from psp_adapters.contract.settlement_reports import (
    Conversion,
    LineKind,
    ReportLine,
    ReportUnreadable,
)
from psp_adapters.tests.adyen.conftest import Kept
from psp_adapters.tests.support.adyen_documents import document_path
from psp_adapters.tests.support.adyen_face import API_KEY, AdyenFace
from psp_adapters.tests.support.report_bytes import fetched, file_of, lines_in

ACCOUNT = "FaceMerchantECOM"
HEADER = (
    *(*reports.COLUMNS, *reports.FEES, "Batch Number", "Exchange Rate"),
    "A column of tomorrow",
)
SALE = {
    "Merchant Account": ACCOUNT,
    "Psp Reference": "PAYMENT000000001",
    "Merchant Reference": "op_charge",
    "Creation Date": "2026-03-01 12:00:00",
    "TimeZone": "CET",
    "Type": "Settled",
    "Modification Reference": "CAPTURE000000001",
    "Gross Currency": "EUR",
    "Gross Credit (GC)": "10.00",
    "Net Currency": "EUR",
    "Net Credit (NC)": "9.70",
    "Commission (NC)": "0.10",
    "Markup (NC)": "0.05",
    "Scheme Fees (NC)": "0.05",
    "Interchange (NC)": "0.10",
    "Batch Number": "7",
}
REFUND = {
    **SALE,
    "Type": "Refunded",
    "Modification Reference": "REFUND0000000001",
    "Modification Merchant Reference": "op_refund",
    "Gross Credit (GC)": "",
    "Gross Debit (GC)": "4.00",
    "Net Credit (NC)": "",
    "Net Debit (NC)": "4.30",
}


def report(*rows: dict[str, str], header: tuple[str, ...] = HEADER) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, header, restval="", extrasaction="ignore", lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def read(*rows: dict[str, str]) -> list[ReportLine]:
    return list(reports.read(file_of(report(*rows)), merchant_account=ACCOUNT))


def refused(body: bytes) -> str:
    with pytest.raises(ReportUnreadable) as refusal:
        list(reports.read(file_of(body), merchant_account=ACCOUNT))
    return str(refusal.value)


def test_a_sale_names_its_payment_and_its_fee_by_component() -> None:
    [line] = read(SALE)
    assert (line.kind, line.psp_id, line.reference) == (
        LineKind.CHARGE,
        "PAYMENT000000001",
        "op_charge",
    )
    assert (line.gross, line.fee, line.net) == tuple(Money(m, "EUR") for m in (1000, 30, 970))
    assert line.psp_payout_id == "7"
    parts = line.fee_parts
    said = (parts.markup, parts.interchange, parts.scheme_fee)
    assert said == (Money(15, "EUR"), Money(10, "EUR"), Money(5, "EUR"))
    assert line.occurred_at == datetime(2026, 3, 1, 11, 0, tzinfo=UTC)


def test_a_capture_of_ours_and_a_refund_name_themselves() -> None:
    capture = {**SALE, "Modification Merchant Reference": "op_capture"}
    taken, returned = read(capture, REFUND)
    assert (taken.psp_id, taken.reference) == ("CAPTURE000000001", "op_capture")
    assert (returned.kind, returned.psp_id) == (LineKind.REFUND, "REFUND0000000001")
    assert (returned.gross, returned.fee) == (Money(-400, "EUR"), Money(30, "EUR"))


def test_the_direction_is_that_of_the_column_and_not_of_the_type() -> None:
    taken = {**REFUND, "Type": "Settled"}
    [line] = read(taken)
    assert (line.kind, line.gross.minor) == (LineKind.CHARGE, -400)


def test_fees_and_the_payout_of_a_batch_are_lines_without_a_payment() -> None:
    fee = {
        **dict.fromkeys(SALE, ""),
        "Merchant Account": ACCOUNT,
        "Type": "Fee",
        "Creation Date": "2026-03-01 12:00:00",
        "TimeZone": "UTC",
        "Net Currency": "EUR",
        "Net Debit (NC)": "1.50",
    }
    transfer = f"TX2342222277XT batch 2, {'x' * 200}"
    payout = {**fee, "Type": "MerchantPayout", "Modification Reference": transfer}
    charged, paid = read(fee, payout)
    assert (charged.kind, charged.psp_type, charged.psp_id) == (LineKind.FEE, "Fee", "")
    assert (paid.kind, paid.psp_id) == (LineKind.PAYOUT, transfer[:128])
    assert charged.net == paid.net == Money(-150, "EUR")


def test_a_converted_amount_is_told_in_the_currency_of_our_balance() -> None:
    paid = {"Gross Currency": "USD", "Gross Credit (GC)": "11.00", "Exchange Rate": "0.909"}
    [line] = read({**SALE, **paid})
    assert (line.gross, line.net) == (Money(1000, "EUR"), Money(970, "EUR"))
    assert line.conversion == Conversion(paid=Money(1100, "USD"), rate="0.909")
    [disputed] = read({**SALE, **paid, "Type": "ChargebackReversed"})
    assert disputed.conversion is None
    assert "not a rate" in refused(report({**SALE, **paid, "Exchange Rate": "much"}))


def test_yen_have_no_decimals() -> None:
    yen = dict.fromkeys(reports.FEES, "") | {"Gross Currency": "JPY", "Net Currency": "JPY"}
    [line] = read({**SALE, **yen, "Gross Credit (GC)": "1000", "Net Credit (NC)": "1000.00"})
    assert line.gross == Money(1000, "JPY")


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"Gross Credit (GC)": "10.01"}, "do not agree"),
        ({"Net Debit (NC)": "9.70"}, "exactly one"),
        ({"Net Credit (NC)": ""}, "exactly one"),
        ({"Net Credit (NC)": "9,70"}, "not an amount"),
        ({"Commission (NC)": "0.105"}, "NotRepresentable"),
        ({"Net Currency": "XXX"}, ""),
        ({"TimeZone": "MARS"}, "time zone"),
        ({"Creation Date": "1 March"}, "not a time"),
        ({"Psp Reference": ""}, "identifier"),
        ({"Merchant Account": "Other"}, "another merchant account"),
        ({"Type": ""}, "type"),
    ],
)
def test_a_row_in_doubt_refuses_the_report(changed: dict[str, str], why: str) -> None:
    assert why in refused(report(SALE, {**SALE, **changed}))


def test_a_file_that_is_none_is_refused() -> None:
    whole = report(SALE)
    assert "empty" in refused(b"")
    assert "in the middle" in refused(whole[:-5])
    assert "is missing" in refused(report(SALE, header=HEADER[1:]))
    assert "two columns" in refused(report(SALE, header=(*HEADER, "Type")))
    assert refused(b"\xff\xfe\n")
    assert "too long" in refused(b"a" * 100_000)


def test_reports_are_listed_from_what_was_announced_and_fetched_from_our_address_alone(
    face: AdyenFace, kept: Kept, adapter: AdyenAdapter
) -> None:
    """The address in a notification is not signed: it is not used."""
    name, other = "settlement_detail_report_batch_7.csv", "payments_accounting_report.csv"
    with Reports(name, report(SALE)) as server:
        fetching = AdyenAdapter(
            api_key=API_KEY,
            merchant_account=ACCOUNT,
            base_url=face.base_url,
            stored=kept,
            report_url=f"http://127.0.0.1:{server.port}/reports",
            report_key="the report user's key",
        )
        nothing = {"currency": "EUR", "value": 0}
        for each in (name, other, name):
            face.state(
                "REPORT_AVAILABLE",
                psp_id=each,
                reference="",
                amount=nothing,
                reason="https://elsewhere.example/steal",
            )
        [listed] = fetching.list_reports(since=None, deadline_seconds=5)
        assert (listed.name, listed.line_count) == (name, None)
        later = listed.closed_at + timedelta(seconds=1)
        assert fetching.list_reports(since=later, deadline_seconds=5) == []
        body = fetched(fetching, name, deadline_seconds=5)
        [line] = lines_in(fetching, body)
        assert line.gross == Money(1000, "EUR")
        assert server.asked == [(f"/reports/{ACCOUNT}/{name}", "the report user's key")]
        for bad in (other, "settlement_detail_report_batch_8.csv", "..", "", "a/b"):
            with pytest.raises(PspUnavailable):
                fetched(fetching, bad, deadline_seconds=5)
        fetching.close()
    assert adapter.list_reports(since=None, deadline_seconds=5) == []
    with pytest.raises(PspUnavailable, match="not set"):
        fetched(adapter, name, deadline_seconds=5)


class Reports:
    """Serves one file; usable as a context manager."""

    def __init__(self, name: str, body: bytes) -> None:
        self.asked: list[tuple[str, str]] = []
        """Path and key of each request for the file."""
        reports = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                found = self.path.endswith(f"/{name}")
                if found:
                    reports.asked.append((self.path, self.headers["X-API-Key"]))
                content = body if found else b"no"
                self.send_response(200 if found else 404)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port

    def __enter__(self) -> Reports:
        serve = {"poll_interval": 0.02}
        threading.Thread(target=self._server.serve_forever, kwargs=serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def test_every_column_that_we_read_is_one_that_adyen_documents() -> None:
    documented = document_path("adyen.settlement_detail.columns.csv").read_text().strip().split(",")
    assert set(reports.COLUMNS) | set(reports.FEES) <= set(documented)
    assert list(
        reports.read(file_of(report(SALE, header=tuple(documented))), merchant_account=ACCOUNT)
    )
