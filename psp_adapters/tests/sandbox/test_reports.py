"""The sandbox adapter reads settlement reports, and refuses a file that does not add up."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from ledger.money import Money
from psp_adapters.contract.settlement_reports import LineKind, ReportLine, ReportUnreadable
from psp_adapters.sandbox import reports
from psp_adapters.sandbox.adapter import SandboxAdapter
from psp_adapters.tests.suites.report_suite import ReportReadingContract
from psp_adapters.tests.support.report_bytes import file_of

HEADER = (
    "line,type,payment_id,id,reference,order_id,currency,"
    "gross_minor,fee_minor,net_minor,occurred_at"
)
AT = "2026-01-31T12:00:00.123Z"
CHARGE = f"sln_1,charge,spay_1,sop_1,op_1,order 1,USD,1000,0,1000,{AT}"
REFUND = f"sln_2,refund,spay_1,sop_2,op_2,order 1,USD,-300,0,-300,{AT}"
YEN = f"sln_3,charge,spay_2,sop_3,op_3,,JPY,5000,0,5000,{AT}"
DISPUTE = f"sln_4,dispute,spay_1,sdp_1,op_1,order 1,USD,-700,0,-700,{AT}"
FEE = f"sln_5,dispute_fee,spay_1,sdp_1,op_1,order 1,USD,0,1500,-1500,{AT}"
YEN_TOTAL = "total,total,,1,,,JPY,5000,0,5000,"
DOLLAR_TOTAL = "total,total,,4,,,USD,0,1500,-1500,"
ROWS = (HEADER, CHARGE, REFUND, YEN, DISPUTE, FEE, YEN_TOTAL, DOLLAR_TOTAL)


def text(*rows: str) -> bytes:
    return "".join(f"{row}\n" for row in rows).encode()


def one_line(line: str = CHARGE, total: str = "total,total,,1,,,USD,1000,0,1000,") -> bytes:
    return text(HEADER, line, total)


def with_field(column: str, value: str, row: str = CHARGE) -> str:
    """A row with another text in one column."""
    fields = row.split(",")
    fields[HEADER.split(",").index(column)] = value
    return ",".join(fields)


def read(body: bytes) -> list[ReportLine]:
    return list(reports.read(file_of(body)))


@pytest.fixture
def unconnected() -> Iterator[SandboxAdapter]:
    adapter = SandboxAdapter(base_url="http://127.0.0.1:1", api_key="sandbox_reports")
    yield adapter
    adapter.close()


class TestReadingSandboxReports(ReportReadingContract):
    @pytest.fixture
    def adapter(self, unconnected: SandboxAdapter) -> SandboxAdapter:
        return unconnected

    def whole(self) -> bytes:
        return text(*ROWS)

    def large(self, line_count: int) -> bytes:
        rows = [with_field("line", f"sln_{number}") for number in range(line_count)]
        total = f"total,total,,{line_count},,,USD,{1000 * line_count},0,{1000 * line_count},"
        return text(HEADER, *rows, total)

    def of_type(self, psp_type: str) -> bytes:
        return one_line(with_field("type", psp_type))

    def broken(self) -> dict[str, bytes]:
        cases = {
            f"{column}={value[:30]!r}": one_line(with_field(column, value))
            for column, value in BAD_FIELDS
        }
        return cases | {what: text(*rows) for what, rows in BAD_ROWS.items()} | BAD_BYTES


BAD_FIELDS = [
    ("line", ""),
    ("line", "total"),
    ("line", "sln 1"),
    ("line", "x" * 129),
    ("type", ""),
    ("type", "total"),
    ("type", "x" * 501),
    ("payment_id", ""),
    ("id", ""),
    ("id", "sop_é"),
    ("reference", "x" * 501),
    ("reference", "op\x851"),
    ("currency", "usd"),
    ("currency", "Usd"),
    ("currency", ""),
    ("currency", "XXY"),
    *[
        (column, value)
        for column in ("gross_minor", "fee_minor", "net_minor")
        for value in ("", " 1", "+1", "1.0", "1e3", "1_000", "٣", "0x1", "--1", "-", "1" * 16)
    ],
    ("gross_minor", "1001"),
    ("fee_minor", "1"),
    ("net_minor", "999"),
    ("occurred_at", ""),
    ("occurred_at", "2026-01-31T12:00:00"),
    ("occurred_at", "2026-01-31"),
    ("occurred_at", "2026-02-30T12:00:00Z"),
    ("occurred_at", "0001-01-01T00:00:00+23:59"),
    ("occurred_at", "1769860800"),
    ("occurred_at", "tomorrow"),
    ("occurred_at", "٢026-01-31T12:00:00Z"),
]
_DOLLARS = "total,total,,1,,,USD,1000,0,1000,"
BAD_ROWS = {
    "no header": (CHARGE, _DOLLARS),
    "a header only": (HEADER,),
    "a header and a control row only": (HEADER, "total,total,,0,,,USD,0,0,0,"),
    "no control row": (HEADER, CHARGE),
    "a control row of another currency": (HEADER, CHARGE, "total,total,,1,,,EUR,1000,0,1000,"),
    "one currency's control row missing": ROWS[:-1],
    "the other currency's control row missing": (*ROWS[:-2], DOLLAR_TOTAL),
    "a control row twice": (*ROWS, DOLLAR_TOTAL),
    "a line after the control rows": (*ROWS, with_field("line", "sln_9")),
    "a line between the control rows": (*ROWS[:-1], CHARGE, DOLLAR_TOTAL),
    "two reports in one file": (*ROWS, *ROWS),
    "a wrong count": (HEADER, CHARGE, _DOLLARS.replace(",1,", ",2,", 1)),
    "a count that is none": (HEADER, CHARGE, _DOLLARS.replace(",1,", ",one,", 1)),
    "a negative count": (HEADER, CHARGE, _DOLLARS.replace(",1,", ",-1,", 1)),
    "a wrong gross": (HEADER, CHARGE, with_field("gross_minor", "1001", _DOLLARS)),
    "a wrong fee": (HEADER, CHARGE, with_field("fee_minor", "1", _DOLLARS)),
    "a wrong net": (HEADER, CHARGE, with_field("net_minor", "999", _DOLLARS)),
    "an endless sum": (HEADER, CHARGE, with_field("net_minor", "9" * 5000, _DOLLARS)),
    "wrong sums that agree": (HEADER, CHARGE, "total,total,,1,,,USD,2000,0,2000,"),
    "a control row that names a payment": (
        HEADER,
        CHARGE,
        with_field("payment_id", "spay_1", _DOLLARS),
    ),
    "a control row with a time": (HEADER, CHARGE, _DOLLARS + AT),
    "a control row with an identity": (HEADER, CHARGE, with_field("line", "sln_2", _DOLLARS)),
    "a blank line": (HEADER, "", CHARGE, _DOLLARS),
    "a field too few": (HEADER, CHARGE.rpartition(",")[0], _DOLLARS),
    "a field too many": (HEADER, f"{CHARGE},", _DOLLARS),
    "semicolons": tuple(row.replace(",", ";") for row in ROWS),
    "a column twice": (f"{HEADER},net_minor", f"{CHARGE},1000", f"{_DOLLARS},1000"),
    "an open quote": (HEADER, with_field("order_id", '"order 1'), _DOLLARS),
    "text behind a quote": (HEADER, with_field("order_id", '"order" 1'), _DOLLARS),
    "a field over two lines": (HEADER, with_field("order_id", '"order\n1"'), _DOLLARS),
    "a bare carriage return": (HEADER, with_field("order_id", "order\r1"), _DOLLARS),
    "a NUL": (HEADER, with_field("order_id", "order\0"), _DOLLARS),
    "a huge field": (HEADER, with_field("order_id", "x" * 200_000), _DOLLARS),
    "a huge quoted field": (HEADER, with_field("order_id", f'"{"x" * 200_000}"'), _DOLLARS),
    "columns without end": (HEADER + "".join(f",{n}" for n in range(5000)), CHARGE, _DOLLARS),
    **{
        f"no column {column}": (",".join(c for c in HEADER.split(",") if c != column), CHARGE)
        for column in HEADER.split(",")
    },
    "an upper-case header": (HEADER.upper(), CHARGE, _DOLLARS),
}
BAD_BYTES = {
    "no end of the last line": one_line()[:-1],
    "Latin-1": one_line(with_field("order_id", "Ü")).decode().encode("latin-1"),
    "UTF-16": one_line().decode().encode("utf-16"),
    "half a character": one_line().replace(b"order 1", b"order \xc3"),
    "a surrogate": one_line().replace(b"order 1", b"order \xed\xa0\x80"),
    "a byte order mark": b"\xef\xbb\xbf" + one_line(),
    "compressed": b"\x1f\x8b\x08\x00" + one_line(),
}


@pytest.mark.parametrize(("column", "value"), BAD_FIELDS)
def test_a_bad_field_is_refused_with_the_place(column: str, value: str) -> None:
    with pytest.raises(ReportUnreadable, match=r"^line 2: |its end is missing"):
        read(one_line(with_field(column, value)))


@pytest.mark.parametrize("what", [*BAD_ROWS, *BAD_BYTES])
def test_a_report_whose_sums_differ_or_that_is_no_csv_is_refused(what: str) -> None:
    body = text(*BAD_ROWS[what]) if what in BAD_ROWS else BAD_BYTES[what]
    with pytest.raises(ReportUnreadable):
        read(body)


def test_a_line_without_end_is_not_read_to_its_end() -> None:
    with pytest.raises(ReportUnreadable, match=r"^line 2: too long$"):
        read(text(*BAD_ROWS["a huge field"]))


def test_every_column_of_a_line_is_read() -> None:
    lines = read(text(*ROWS))
    assert [line.kind for line in lines] == [
        LineKind.CHARGE,
        LineKind.REFUND,
        LineKind.CHARGE,
        LineKind.DISPUTE,
        LineKind.DISPUTE_FEE,
    ]
    fee = lines[-1]
    assert (fee.identity, fee.psp_type) == ("sln_5", "dispute_fee")
    assert (fee.psp_id, fee.psp_payment_id, fee.reference) == ("sdp_1", "spay_1", "op_1")
    assert (fee.gross, fee.fee) == (Money(0, "USD"), Money(1500, "USD"))
    assert fee.net == Money(-1500, "USD")
    assert fee.occurred_at == datetime(2026, 1, 31, 12, 0, 0, 123_000, tzinfo=UTC)


@pytest.mark.parametrize(
    "kind", [each for each in LineKind if each is not LineKind.UNKNOWN], ids=str
)
def test_every_kind_has_its_type(kind: LineKind) -> None:
    [line] = read(one_line(with_field("type", kind.value)))
    assert (line.kind, line.psp_type) == (kind, kind.value)


def test_a_type_called_unknown_is_no_kind_of_ours() -> None:
    [line] = read(one_line(with_field("type", "unknown")))
    assert (line.kind, line.psp_type) == (LineKind.UNKNOWN, "unknown")


def test_the_sign_of_the_amount_gives_the_direction_and_never_the_type() -> None:
    row = CHARGE.replace("1000", "-1000")
    [line] = read(one_line(row, "total,total,,1,,,USD,-1000,0,-1000,"))
    assert (line.kind, line.net.minor) == (LineKind.CHARGE, -1000)


def test_columns_are_found_by_their_names() -> None:
    def turned(row: str) -> str:
        return ",".join([*reversed(row.split(",")), "something new"])

    lines = read(text(f"{','.join(reversed(HEADER.split(',')))},extra", *map(turned, ROWS[1:])))
    assert lines == read(text(*ROWS))


def test_lines_may_end_as_on_other_systems_and_be_quoted() -> None:
    quoted = with_field("order_id", '"order ""1"", or so"')
    assert read(one_line(quoted).replace(b"\n", b"\r\n")) == read(one_line())


def test_a_line_of_a_new_kind_need_not_name_anything() -> None:
    row = with_field("type", "monthly_fee")
    for column in ("payment_id", "id", "reference", "order_id"):
        row = with_field(column, "", row)
    [line] = read(one_line(row))
    assert (line.kind, line.psp_id, line.psp_payment_id) == (LineKind.UNKNOWN, "", "")


def test_sums_may_be_longer_than_amounts() -> None:
    most = "9" * 15
    row = with_field("gross_minor", most, with_field("net_minor", most))
    total = 20 * int(most)
    body = text(HEADER, *[row] * 20, f"total,total,,20,,,USD,{total},0,{total},")
    assert len(read(body)) == 20


def test_a_time_in_another_zone_is_the_same_moment() -> None:
    [line] = read(one_line(with_field("occurred_at", "2026-01-31T14:30:00.123+02:30")))
    assert line == read(one_line())[0]
