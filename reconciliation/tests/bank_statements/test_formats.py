"""Both formats of bank statements: golden files, and what is refused as a whole."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from reconciliation.services.bank_statements import camt053, swift_mt940
from reconciliation.services.bank_statements.contents import Statement, StatementUnreadable
from reconciliation.tests.support.banking import camt

GOLDEN = Path(__file__).parent / "golden"
XML = (GOLDEN / "two_days.xml").read_bytes()
STA = (GOLDEN / "two_days.sta").read_bytes()
Read = Callable[[bytes], list[Statement]]


@pytest.mark.parametrize(("read", "body"), [(camt053.read, XML), (swift_mt940.read, STA)])
def test_a_golden_file_is_read_with_its_balances_its_entries_and_their_references(
    read: Read, body: bytes
) -> None:
    first, second = read(body)
    assert (first.number, second.number) == (61, 62)
    assert (str(first.opening), str(first.closing)) == ("-5.00 USD", "84.50 USD")
    assert (second.opened_on, second.closed_on) == (date(2026, 3, 3), date(2026, 3, 3))
    assert second.entries == ()
    payout, fee = first.entries
    assert (str(payout.amount), str(fee.amount)) == ("90.00 USD", "-0.50 USD")
    assert (payout.booked_on, payout.value_on) == (date(2026, 3, 2), date(2026, 3, 3))
    assert (payout.bank_reference, payout.end_to_end_id) == ("2026030200001", "po_1234567")
    assert "1234567 MARCH" in payout.text
    assert "Account fee" in fee.text
    assert fee.bank_reference == fee.end_to_end_id == ""


@pytest.mark.parametrize(("read", "body"), [(camt053.read, XML), (swift_mt940.read, STA)])
def test_byte_order_marks_and_other_line_ends_change_nothing(read: Read, body: bytes) -> None:
    assert read(b"\xef\xbb\xbf" + body.replace(b"\n", b"\r\n")) == read(body)


def test_amounts_have_the_decimals_of_their_currency() -> None:
    yen = camt(("9000", "x"), closing="9000", currency="JPY")
    [statement] = camt053.read(yen)
    assert statement.closing.minor == 9_000
    dinars = camt(("9.125", "x"), closing="9.125", currency="KWD")
    assert camt053.read(dinars)[0].closing.minor == 9_125
    with pytest.raises(StatementUnreadable, match="Amt: more decimals than JPY"):
        camt053.read(camt(("90.5", "x"), closing="90.5", currency="JPY"))


BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE D [<!ENTITY a "aaaaaaaaaa">'
    b'<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    b'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.02">&b;</Document>'
)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (XML[:-200], "line [0-9]+: it is not whole XML"),
        (BOMB, "DOCTYPE"),
        (BOMB.replace(b'"aaaaaaaaaa"', b'SYSTEM "file:///etc/passwd"'), "DOCTYPE"),
        (b'<?xml version="1.0"?><!DOCTYPE Document SYSTEM "http://x/y"><Document/>', "DOCTYPE"),
        (XML.replace(b"camt.053.001.08", b"camt.054.001.08"), "no camt.053 document"),
        (b"<html></html>", "no camt.053 document"),
        (XML.replace(b"90.00", b"91.00"), "statement 2026-061 does not add up"),
        (XML.replace(b">BOOK<", b">WHAT<", 1), "Sts: not a status"),
        (
            XML.replace(b"<BookgDt><Dt>2026-03-02</Dt></BookgDt>", b""),
            "line 18, Ntry/BookgDt: missing",
        ),
        (
            XML.replace(b'Ccy="USD">0.5', b'Ccy="XXX">0.5'),
            "line 30, Ntry/Amt: unknown currency XXX",
        ),
        (XML.replace(b'Ccy="USD">0.5', b'Ccy="EUR">0.5'), "amounts in EUR and USD"),
        (XML.replace(b">DBIT<", b">BOTH<", 1), "CdtDbtInd: neither"),
        (XML.replace(b"CLBD", b"ITBD"), "no balance CLBD"),
    ],
)
def test_xml_that_is_not_a_whole_statement_is_refused_with_the_place(body: bytes, why: str) -> None:
    with pytest.raises(StatementUnreadable, match=why):
        camt053.read(body)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (STA[: STA.index(b":62F:")], "line 12: its field :62: is missing"),
        (STA.replace(b"C90,00", b"C91,00"), "the page before it|does not add up"),
        (STA.replace(b":28C:61/2", b":28C:99/2"), "a page of another statement"),
        (STA.replace(b":60M:C260302USD85,00", b":60M:C260302USD86,00"), "page before it"),
        (
            STA.replace(b":61:260302D0,5NCHGNONREF", b":61:nonsense"),
            "line 16: :61: is not an entry",
        ),
        (STA.replace(b":64:", b":99:"), "line 19: :99: is no field"),
        (STA.replace(b":28C:62/1", b":28C:62/1\nstray"), "belongs to no field"),
        (STA.replace(b"USD", b"XXX"), "line 15: :60M: unknown currency XXX"),
        (STA.replace(b"D0,5N", b"D0,555N"), "line 16"),
        (b"amount;date\n1;2\n", "line 1: it does not begin with the field :20:"),
        (STA.replace(b"Account fee", b"Account\x00fee"), "control characters"),
    ],
)
def test_an_mt940_file_that_is_not_whole_is_refused_with_the_line(body: bytes, why: str) -> None:
    with pytest.raises(StatementUnreadable, match=why):
        swift_mt940.read(body)


def test_every_cut_of_an_mt940_message_is_refused() -> None:
    whole = STA[: STA.index(b":20:STMT260303")]
    for end in range(1, whole.index(b":62F:") + len(":62F:C260302USD84,")):
        with pytest.raises(StatementUnreadable):
            swift_mt940.read(whole[:end])
